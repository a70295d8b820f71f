"""The console scripts of training and evaluation."""

import sys

import pytest

from model import commands


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
