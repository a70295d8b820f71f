"""The commands but for those of the service, under both of their names."""

import runpy
import subprocess
import sys
from collections.abc import Callable
from inspect import cleandoc
from pathlib import Path

import numpy as np
import pytest

from model import commands
from model.adopt.options import AdoptOptions
from model.bulk.command import main as bulk
from model.evaluate.options import EvaluateOptions
from model.files import ReadOptions
from model.train.options import TrainOptions
from tests.model.tables.tables import MIXED, mixed_codes, model
from tests.tiny import save_tiny

ROOT = Path(__file__).parents[2]
NEEDS_EXTRA = {
    "train": commands.train,
    "evaluate": commands.evaluate,
    "adopt": commands.adopt,
}
BULK = {
    "encode": commands.encode,
    "decode": commands.decode,
    "sample": commands.sample,
    "score": commands.score,
}
COMMANDS = NEEDS_EXTRA | BULK
Help = Callable[[Callable[[], object]], str]


@pytest.fixture
def help_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Help:
    """Return a function that returns what a command prints with --help."""
    monkeypatch.setattr(sys, "argv", ["command", "--help"])

    def printed(command: Callable[[], object]) -> str:
        with pytest.raises(SystemExit) as ended:
            command()
        assert ended.value.code == 0
        return capsys.readouterr().out

    return printed


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_console_script_shows_its_own_name(
    name: str, help_of: Help
) -> None:
    """It is what one types."""
    assert help_of(COMMANDS[name]).startswith(f"usage: vae-{name} ")


@pytest.mark.parametrize("name", NEEDS_EXTRA)
def test_the_help_of_a_module_shows_how_it_is_run(name: str, help_of: Help) -> None:
    """Also where the console scripts are not on the path."""
    module = f"model.{name}"

    shown = help_of(lambda: runpy.run_module(module, run_name="__main__"))

    assert shown.startswith(f"usage: python -m {module} ")


@pytest.mark.parametrize(
    "options", [TrainOptions, EvaluateOptions, AdoptOptions, ReadOptions]
)
def test_no_line_of_a_help_text_begins_with_a_mark(options: type) -> None:
    """Tyro takes such a line for an item of a list, and breaks the sentence there."""
    section = cleandoc(options.__doc__ or "").partition("Attributes:")[2]

    begins = [line.strip()[0] for line in section.splitlines() if line.strip()]

    assert all(mark.isalpha() for mark in begins)


@pytest.mark.parametrize("name", BULK)
def test_the_help_of_bulk_commands_shows_how_they_are_run(
    name: str, help_of: Help
) -> None:
    """The word that selects one is part of its name."""
    shown = help_of(lambda: bulk([name, "--help"]))

    assert shown.startswith(f"usage: python -m model.bulk {name} ")


@pytest.mark.slow("starts a process")
def test_bulk_commands_need_no_extra(tmp_path: Path) -> None:
    """They run where serving alone was installed, as in the image; so does a table."""
    checkpoint = save_tiny(tmp_path / "table", model(MIXED, mixed_codes()))
    (tmp_path / "x.csv").write_text("amount,size,group,flag\n1,2.5,a,true\n,,b,\n")
    program = (
        "import sys\n"
        "for name in ('tyro', 'tqdm', 'sklearn', 'matplotlib', 'pyarrow'):\n"
        "    sys.modules[name] = None\n"
        "from model.commands import encode\n"
        "sys.exit(encode())"
    )
    words = (checkpoint, tmp_path / "x.csv", "--out", tmp_path / "codes.npy")

    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert np.load(tmp_path / "codes.npy").shape == (2, 2)


@pytest.mark.slow("starts a process")
def test_no_command_line_needs_torch() -> None:
    """Help and mistakes come before its import, which takes a second."""
    program = (
        "import sys\n"
        "for name in ('train', 'evaluate', 'adopt', 'bulk'):\n"
        "    __import__(f'model.{name}.arguments')\n"
        "sys.exit('torch' in sys.modules)"
    )

    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)

    assert ended.returncode == 0


@pytest.mark.parametrize("name", NEEDS_EXTRA)
@pytest.mark.slow("starts a process for each command")
def test_without_the_extra_a_command_says_what_to_install(
    name: str, tmp_path: Path
) -> None:
    """In one line, with status 2, where serving alone was installed."""
    (tmp_path / "tyro.py").write_text("raise ModuleNotFoundError(name='tyro')\n")

    ended = subprocess.run(
        [sys.executable, "-m", f"model.{name}", "--help"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == (
        "error: tyro is not installed; it comes with the extra `train`: "
        "pip install '.[train]' where the sources of vae-service are\n"
    )
