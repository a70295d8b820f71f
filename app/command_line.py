"""
The command line of `vae-serve` and `python -m app`.

Every field of `Settings` is an environment variable and an option, with the same
meaning and default. An option overrides its variable.
"""

import argparse
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from app.configuration.environment import PREFIX, SettingsError
from app.settings import Settings, setting_rows
from app.version import service_version

_USAGE = "%(prog)s [--help] [--version] [--OPTION VALUE ...] [CHECKPOINT]"
_DESCRIPTION = (
    "Serve a trained variational autoencoder over HTTP. Without CHECKPOINT, the "
    "released model of MNIST."
)
_EPILOG = (
    "Each option overrides the variable in brackets. The web page is at "
    "http://127.0.0.1:8000/ and the API at http://127.0.0.1:8000/docs."
)
_CHECKPOINT, _POSITIONAL = "checkpoint", "positional"


def read(
    arguments: Sequence[str], environ: Mapping[str, str], *, prog: str = "vae-serve"
) -> dict[str, str]:
    """
    Return the environment with the options applied, after checking all settings.

    Exits after --help and --version, and with status 2 if an argument is unknown or an
    option has an invalid value.

    Raises:
        SettingsError: A variable is unknown or has an invalid value.
    """
    parser = _parser(prog)
    given = _parse(parser, arguments)
    variables = {PREFIX + name.upper(): value for name, value in given.items()}
    changed = {**environ, **variables}
    try:
        Settings.from_environment(changed)
    except SettingsError as error:
        variable, _, what = str(error).partition(": ")
        if variable not in variables:
            raise
        parser.error(f"{_option(variable.removeprefix(PREFIX).lower())}: {what}")
    return changed


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, str]:
    """Return the settings on the command line by name, as text."""
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(_unknown(unknown[0], parser.prog))
    values = vars(parsed)
    positional = values.pop(_POSITIONAL)
    if positional is not None:
        if values[_CHECKPOINT] is not None:
            parser.error("expected one of CHECKPOINT and --checkpoint, got both")
        values[_CHECKPOINT] = positional
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    version = f"vae-service {service_version()}"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument(
        _POSITIONAL,
        nargs="?",
        metavar="CHECKPOINT",
        help="The same as --checkpoint.",
    )
    fields = Settings.model_fields.items()
    for (name, field), row in zip(fields, setting_rows(), strict=True):
        text = f"{row.description} [{row.variable}; default: {row.default}]"
        _add(parser, name, field, text.replace("%", "%%"))  # argparse formats it
    return parser


def _add(
    parser: argparse.ArgumentParser, name: str, field: FieldInfo, text: str
) -> None:
    if field.annotation is bool:
        switch = argparse.BooleanOptionalAction
        parser.add_argument(_option(name), action=switch, help=text)
        return
    is_choice = get_origin(field.annotation) is Literal
    words = "|".join(get_args(field.annotation)) if is_choice else ""
    metavar = words or name.split("_")[-1].upper()
    parser.add_argument(_option(name), metavar=metavar, help=text)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _unknown(argument: str, prog: str) -> str:
    """Return the error for an unknown argument."""
    options = [_option(name) for name in Settings.model_fields]
    nearest = get_close_matches(argument, options, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"see {prog} --help"
    return f"unknown argument {argument[:80]}; {hint}"
