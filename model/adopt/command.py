"""The command `vae-adopt`, also `python -m model.adopt`."""

import sys
from collections.abc import Sequence

import torch

from model.adopt import arguments as command_line
from model.adopt.adoption import adopt
from model.adopt.options import AdoptOptions
from model.input_errors import BAD_INPUT, INPUT_ERRORS, INTERRUPTED, reason
from model.train.card import amount


def main(arguments: Sequence[str], prog: str = "python -m model.adopt") -> int:
    """
    Read the command line, adopt, and return the exit status.

    Args:
        prog: The command's name, for its help and its record.
    """
    options = command_line.read(arguments, prog)
    return run(options, (*prog.split(), *arguments))


def run(options: AdoptOptions, command: Sequence[str]) -> int:
    """
    Adopt, and return the exit status.

    Args:
        command: The words of the command, for its record.
    """
    try:
        torch.set_num_threads(options.threads or torch.get_num_threads())
        metrics = adopt(options, command=command, say=_say)
    except INPUT_ERRORS as error:
        return _fail(reason(error))
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", INTERRUPTED)
    for figure in metrics.figures:
        _say(f"{figure.split:>10} {figure.name:<17} {amount(figure):>15}")
    if not metrics.figures:
        _say(
            "without --data there are no figures, no calibration and no quantiles: "
            "/anomaly and /traverse in quantiles of the data need them"
        )
    _say(f"checkpoint: {options.out}")
    return 0


def _fail(why: str, status: int = BAD_INPUT) -> int:
    _say("error: " + " ".join(why.split("\n")))
    return status


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")
