"""The command `vae-evaluate`, also `python -m model.evaluate`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from model import atomic_files, checkpoint
from model.checkpoint import Checkpoint
from model.device import choose_device
from model.evaluate import arguments as command_line
from model.evaluate import mask, report, rows
from model.evaluate.measures import Measured, Subject, measure
from model.evaluate.options import EvaluateOptions
from model.evaluate.rows import EvaluationRows
from model.input_errors import BAD_INPUT, INPUT_ERRORS, INTERRUPTED, reason
from model.remote.copies import local_checkpoint


def main(arguments: Sequence[str], prog: str = "python -m model.evaluate") -> int:
    """
    Read the command line, measure, and return the exit status.

    Args:
        prog: The command's name, for its help.
    """
    return run(command_line.read(arguments, prog))


def run(options: EvaluateOptions) -> int:
    """Measure what the options ask for, and return the exit status."""
    try:
        evaluate(options)
    except INPUT_ERRORS as error:
        return _fail(reason(error))
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", INTERRUPTED)
    return 0


def evaluate(options: EvaluateOptions) -> None:
    """
    Measure what the options ask for, print the table and write the JSON file.

    Raises:
        ValueError: Options, checkpoint or data are invalid.
    """
    options.check()
    _check_writable(options.file)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    device = choose_device(options.device)
    loaded = checkpoint.load(local_checkpoint(options.checkpoint))
    measured_on = rows.read(options, loaded.vae)
    sys.stderr.writelines(f"{note}\n" for note in measured_on.dataset.notes)
    x = torch.from_numpy(measured_on.x).to(device)
    observed = None
    if options.mask is not None:
        shape = tuple(loaded.config.data_shape)
        known = mask.read(options.mask, data_shape=shape, n_rows=len(x))
        observed = torch.from_numpy(known.copy()).to(device)
    subject = Subject(loaded.vae.to(device), x, loaded.calibration, observed)
    found: dict[str, Measured] = {}
    for what in dict.fromkeys(options.measure):
        # No bar if standard error is not a terminal.
        with tqdm(total=len(x), desc=what, unit="row", disable=None) as bar:
            found[what] = measure(what, subject, options, on_rows=bar.update)
    content = report.document(_head(options, loaded, measured_on), found)
    atomic_files.replace(options.file, content.encode())
    of_rows = f"{len(x)} {options.split} row{'s' * (len(x) > 1)}"
    sys.stdout.write(report.table(found, of_rows))
    sys.stderr.write(f"{options.file}\n")


def _head(
    options: EvaluateOptions, loaded: Checkpoint, measured_on: EvaluationRows
) -> dict[str, object]:
    """Return the checkpoint, the data and the seed of the figures."""
    return {
        "checkpoint": options.name,
        "sha256": loaded.sha256,
        "dataset": measured_on.dataset.name,
        "dataset_sha256": measured_on.dataset.sha256,
        "split": options.split,
        "n_examples": len(measured_on.x),
        "binarize": measured_on.binarize,
        "seed": options.seed,
    }


def _check_writable(file: Path) -> None:
    """Check the path of the JSON file before any work."""
    if not file.parent.is_dir():
        raise ValueError(f"--out {file}: there is no directory {file.parent}")
    if file.is_dir():
        raise ValueError(f"--out {file}: expected a file, this is a directory")


def _fail(why: str, status: int = BAD_INPUT) -> int:
    sys.stderr.write(f"error: {why}\n")
    return status
