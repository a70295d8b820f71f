"""Every option of the bulk commands is an argument, with the text of its docstring."""

from dataclasses import fields

import pytest

from model.bulk import command_line
from model.bulk.arguments import COMMANDS
from model.bulk.options import BulkEncodeOptions, BulkSampleOptions, BulkScoreOptions
from model.files import ReadOptions


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it means."""
    schema = COMMANDS[name]

    with pytest.raises(SystemExit) as exit_:
        command_line.read(schema, ["--help"], prog=f"vae-{name}")

    shown = " ".join(capsys.readouterr().out.split())
    assert exit_.value.code == 0
    assert shown.startswith(f"usage: vae-{name} ")
    assert "Directory of the checkpoint, or a URL" in shown
    names = {one.name for one in fields(schema)}
    if "reading" in names:
        names = (names - {"reading"}) | {one.name for one in fields(ReadOptions)}
    for option in names - {"checkpoint", "input"}:
        assert f"--{option.replace('_', '-')} " in shown


def test_arguments_become_options() -> None:
    """With their types; what is not given has its default."""
    words = "model x.csv --out o.npy --drop id name --no-header --n-samples 3 --seed 4"

    options = command_line.read(BulkScoreOptions, words.split(), prog="vae-score")

    assert str(options.checkpoint) == "model"
    assert str(options.input) == "x.csv"
    assert options.reading == ReadOptions(drop=("id", "name"), header=False)
    assert (options.n_samples, options.seed, options.first) == (3, 4, 0)
    assert options.binarize is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model", "the following arguments are required: --out, --n"),
        ("model --out o.npy --n few", "argument --n: invalid int value: 'few'"),
        ("model --out o.npy --n 3 --draw x", "argument --draw: invalid choice: 'x'"),
        ("model --out o.npy --n 3 --see 3", "unrecognized arguments: --see 3"),
    ],
)
def test_what_is_no_option_is_an_error(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2; options are not abbreviated."""
    with pytest.raises(SystemExit) as exit_:
        command_line.read(BulkSampleOptions, words.split(), prog="vae-sample")

    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_defaults_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is one."""
    with pytest.raises(SystemExit):
        command_line.read(BulkEncodeOptions, ["--help"], prog="vae-encode")

    shown = " ".join(capsys.readouterr().out.split())
    assert "As of the service; auto uses a GPU if there is one. Default: cpu." in shown
    assert "Default: None" not in shown
