"""`vae-serve`: every setting is an option, and nothing is ignored."""

import os

import pytest

from app import command_line
from app.__main__ import main
from app.configuration.environment import SettingsError
from app.settings import Settings, setting_rows


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what is said of arguments that end the process with status 2."""
    with pytest.raises(SystemExit) as ended:
        command_line.read(arguments, {})
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_an_option_overrides_its_variable() -> None:
    """The rest of the environment stays as it is."""
    environ = {"VAE_PORT": "1", "VAE_MAX_ROWS": "7", "HOME": "/root"}

    changed = command_line.read(["--port", "9000", "--device=auto"], environ)

    assert changed == {
        "VAE_PORT": "9000",
        "VAE_MAX_ROWS": "7",
        "VAE_DEVICE": "auto",
        "HOME": "/root",
    }


@pytest.mark.parametrize("arguments", [["mine"], ["--checkpoint", "mine"]])
def test_the_checkpoint_is_an_argument_or_an_option(arguments: list[str]) -> None:
    """`vae-serve DIRECTORY` is what one types."""
    assert command_line.read(arguments, {}) == {"VAE_CHECKPOINT": "mine"}


def test_switches_are_set_and_unset() -> None:
    """A boolean has two options."""
    changed = command_line.read(["--no-explorer", "--access-log"], {})

    settings = Settings.from_environment(changed)
    assert not settings.explorer
    assert settings.access_log


def test_help_has_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its option, its variable, its meaning and its default."""
    with pytest.raises(SystemExit) as ended:
        command_line.read(["--help"], {})

    printed = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for row in setting_rows():
        option = row.variable.removeprefix("VAE_").lower().replace("_", "-")
        assert f"--{option}" in printed
        assert f"{row.description} [{row.variable}; default: {row.default}]" in printed


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, and nothing is served."""
    with pytest.raises(SystemExit) as ended:
        command_line.read(["--version"], {"VAE_PORT": "nonsense"})

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("vae-service ")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--prt", "3"), "unknown argument --prt; did you mean --port?"),
        (("--pro", "3"), "unknown argument --pro; did you mean --port?"),
        (("--zzz",), "unknown argument --zzz; see vae-serve --help"),
        (("one", "two"), "unknown argument two; see vae-serve --help"),
        (("--port", "x"), "--port: expected a valid integer, got 'x'"),
        (
            ("--device", "gpu"),
            "--device: expected 'auto', 'cpu' or 'cuda', got 'gpu'",
        ),
        (("--port",), "argument --port: expected one argument"),
        (
            ("one", "--checkpoint", "two"),
            "expected one of CHECKPOINT and --checkpoint, got both",
        ),
    ],
)
def test_a_bad_argument_is_an_error(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], what: str
) -> None:
    """In one sentence, with the nearest option where one is near."""
    assert refused(capsys, *arguments) == f"vae-serve: error: {what}"


def test_the_command_is_shown_as_it_was_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the usage, and in what an error says to do next."""
    with pytest.raises(SystemExit):
        command_line.read(["--zzz"], {}, prog="python -m app")

    shown = capsys.readouterr().err
    assert shown.startswith("usage: python -m app [--help]")
    assert shown.endswith("see python -m app --help\n")


def test_a_bad_variable_is_named_as_a_variable() -> None:
    """Under the name by which it was set."""
    with pytest.raises(SettingsError, match="VAE_MAX_ROWS: expected"):
        command_line.read(["--port", "9000"], {"VAE_MAX_ROWS": "0"})


def test_a_missing_checkpoint_is_an_error_that_says_the_next_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process ends with status 3, and knows what one can do."""
    monkeypatch.setattr(os, "environ", {})

    with pytest.raises(SystemExit) as ended:
        main(["nowhere"])

    assert ended.value.code == 3
    assert capsys.readouterr().err == (
        "error: no checkpoint at nowhere: no such directory; "
        "train one (vae-train --help), then: vae-serve DIRECTORY\n"
    )
