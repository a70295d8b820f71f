"""The console scripts of training and evaluation."""

import sys

import pytest

from model import commands


@pytest.mark.parametrize(
    "command",
    [commands.encode, commands.decode, commands.sample, commands.score],
)
def test_bulk_commands_need_no_extra(
    command: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They run where serving alone was installed."""
    assert callable(command)
    for name in [name for name in sys.modules if name.startswith("model.bulk")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("tyro", "tqdm", "sklearn", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys, "argv", ["vae-bulk", "--help"])

    with pytest.raises(SystemExit) as exit_:
        command()

    assert exit_.value.code == 0
    assert "Directory of the checkpoint." in capsys.readouterr().out


@pytest.mark.parametrize("command", [commands.train, commands.evaluate])
def test_without_the_extra_a_command_says_what_to_install(
    command: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with status 2, where serving alone was installed."""
    assert callable(command)
    for name in [name for name in sys.modules if name.endswith(".__main__")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tyro", None)

    assert command() == 2
    message = capsys.readouterr().err
    assert message.startswith("error: tyro is not installed;")
    assert message.count("\n") == 1
