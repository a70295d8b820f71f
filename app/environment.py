"""VAE_* variables to settings and back: names, values, errors, documentation."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple, TypeVar, final

from pydantic import BaseModel, ValidationError

PREFIX = "VAE_"

_Settings = TypeVar("_Settings", bound=BaseModel)


@final
class SettingsError(ValueError):
    """A VAE_* variable has an unknown name or a value that cannot be used."""


@final
class SettingRow(NamedTuple):
    """One setting as documentation shows it."""

    variable: str
    default: str
    description: str


def read(schema: type[_Settings], environ: Mapping[str, str]) -> _Settings:
    """
    Read the VAE_* variables of `environ`; other variables are not looked at.

    Raises:
        SettingsError: A name is unknown or a value unusable.
    """
    known = {_variable_of(name): name for name in schema.model_fields}
    values: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            nearest = get_close_matches(variable, known, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{variable} is not a setting; did you mean {nearest}?")
        values[known[variable]] = value
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from error


def rows(schema: type[BaseModel]) -> tuple[SettingRow, ...]:
    """Return one row per setting, in order."""
    return tuple(
        SettingRow(
            variable=_variable_of(name),
            default=str((field.json_schema_extra or {}).get("default_in_words"))  # type: ignore[union-attr]  # a dict here, never a function
            if field.json_schema_extra
            else str(field.default),
            description=field.description or "",
        )
        for name, field in schema.model_fields.items()
    )


def _variable_of(field: str) -> str:
    return PREFIX + field.upper()


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    wanted = first["msg"].removeprefix("Input should be ").split(", unable")[0]
    return (
        f"{_variable_of(str(first['loc'][0]))}: expected {wanted}, "
        f"got {str(first['input'])[:80]!r}"
    )
