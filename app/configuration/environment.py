"""Reads settings from VAE_* variables, and documents them."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar, final

from pydantic import BaseModel, ValidationError

PREFIX = "VAE_"

# Variables that Kubernetes sets in containers for a Service called `vae` or `vae-...`.
_ADDRESS = re.compile(r"[0-9a-fA-F.:]+")
_LINKS = {
    r"SERVICE_HOST": _ADDRESS,
    r"SERVICE_PORT(_[A-Z0-9_]+)?": re.compile(r"\d+"),
    r"PORT(_\d+_(TCP|UDP|SCTP))?": re.compile(r"(tcp|udp|sctp)://.+:\d+"),
    r"PORT_\d+_(TCP|UDP|SCTP)_PROTO": re.compile(r"tcp|udp|sctp"),
    r"PORT_\d+_(TCP|UDP|SCTP)_PORT": re.compile(r"\d+"),
    r"PORT_\d+_(TCP|UDP|SCTP)_ADDR": _ADDRESS,
}
_HOST = "_SERVICE_HOST"

_Settings = TypeVar("_Settings", bound=BaseModel)


@final
class SettingsError(ValueError):
    """A VAE_* variable has an unknown name or an invalid value."""


@final
class SettingRow(NamedTuple):
    """One setting, as documented."""

    variable: str
    default: str
    description: str


def read(schema: type[_Settings], environ: Mapping[str, str]) -> _Settings:
    """
    Read the VAE_* variables of `environ`, and ignore all others.

    An empty variable counts as not set: Compose files and shell scripts pass one where
    there is no value.

    Raises:
        SettingsError: A name is unknown or a value is invalid.
    """
    known = {_variable_of(name): name for name in schema.model_fields}
    links = service_links(environ)
    values: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in links:
            continue
        if variable not in known:
            nearest = get_close_matches(variable, known, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{variable} is not a setting; did you mean {nearest}?")
        if value.strip():
            values[known[variable]] = value
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from error


def service_links(environ: Mapping[str, str]) -> list[str]:
    """
    Return the VAE_* variables that Kubernetes has set for its Services.

    They are recognized by their names and values, and by the host variable that comes
    with each Service. Any other variable is a setting, or a misspelled one.
    """
    services = [
        re.escape(variable.removesuffix(_HOST))
        for variable, value in environ.items()
        if variable.startswith(PREFIX)
        and variable.endswith(_HOST)
        and _ADDRESS.fullmatch(value)
    ]
    names = "|".join(services)
    return [
        variable
        for variable, value in environ.items()
        for form, of_value in _LINKS.items()
        if re.fullmatch(f"({names})_{form}", variable) and of_value.fullmatch(value)
    ]


def rows(schema: type[BaseModel]) -> tuple[SettingRow, ...]:
    """Return one row per setting, in order."""
    return tuple(
        SettingRow(
            variable=_variable_of(name),
            default=str((field.json_schema_extra or {}).get("default_in_words"))  # type: ignore[union-attr]  # a dict here, never a function
            if field.json_schema_extra
            else _in_words(field.default),
            description=field.description or "",
        )
        for name, field in schema.model_fields.items()
    )


def _in_words(default: Any) -> str:
    """Return a default as a variable has it."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _variable_of(field: str) -> str:
    return PREFIX + field.upper()


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    wanted = first["msg"].removeprefix("Input should be ").split(", unable")[0]
    return (
        f"{_variable_of(str(first['loc'][0]))}: expected {wanted}, "
        f"got {str(first['input'])[:80]!r}"
    )
