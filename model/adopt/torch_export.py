"""Adopt networks that are torch modules in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.adopt.adoption import Say, adopt_graphs
from model.adopt.options import AdoptOptions
from model.checkpoint.manifest import ModelMetrics
from model.config import ArrayLikelihood
from model.graph import Graph, read

OPSET = 18
_N_ROWS = 2
_UNUSED = Path("module.onnx")


def from_torch(
    encoder: nn.Module,
    decoder: nn.Module,
    *,
    x: Tensor,
    z: Tensor,
    likelihood: ArrayLikelihood,
    out: Path | str,
    encoder_outputs: Sequence[str] = ("mu", "log_var"),
    decoder_outputs: Sequence[str] = ("reconstruction",),
    say: Say = lambda _: None,
    **options: Any,
) -> ModelMetrics:
    """
    Write a checkpoint from two modules, and return its figures.

    The modules are exported by torch.onnx.export in evaluation mode, and have the mode
    that they had afterwards.

    Args:
        encoder: From a batch of x to its outputs, such as mu and log_var.
        decoder: From a batch of z to its outputs.
        x: Two examples, in the shape that the encoder takes.
        z: Two latents, in the shape that the decoder takes.
        encoder_outputs: The names of what the encoder returns, by which its meaning is
            found: mu, log_var, log_sigma, sigma, mu_log_var, ...
        decoder_outputs: The same for the decoder: logits, probabilities, mean, ...
        say: Called with each thing that was found out.
        options: Further options of `AdoptOptions`.

    Raises:
        ValueError: The networks or options do not fit; nothing was written.
        ModuleNotFoundError: onnxscript is not installed; it comes with the extra adopt.
    """
    chosen = AdoptOptions(
        encoder=_UNUSED,
        decoder=_UNUSED,
        likelihood=likelihood,
        out=Path(out),
        **options,
    )
    chosen.check()
    return adopt_graphs(
        export(encoder, x, "x", encoder_outputs),
        export(decoder, z, "z", decoder_outputs),
        chosen,
        command=(
            "model.adopt.from_torch",
            type(encoder).__name__,
            type(decoder).__name__,
        ),
        say=say,
    )


def export(module: nn.Module, rows: Tensor, name: str, outputs: Sequence[str]) -> Graph:
    """
    Return the graph of a module.

    Args:
        rows: Two examples or more.
        name: The name of the input.
        outputs: The names of the outputs.

    Raises:
        ValueError: There are too few rows or outputs, the outputs have no order, or the
            graph cannot be read.
        ModuleNotFoundError: onnxscript is not installed.
    """
    if find_spec("onnxscript") is None:
        raise ModuleNotFoundError(
            "onnxscript is not installed; torch needs it to export to ONNX. It comes "
            "with the extra `adopt`: pip install '.[train,adopt]' where the sources of "
            "vae-service are"
        )
    if len(rows) < _N_ROWS:
        raise ValueError(
            f"expected {_N_ROWS} rows of {name} or more, so that their number is free "
            f"in the graph, got {len(rows)}"
        )
    with evaluating(module):
        with torch.no_grad():
            _check_order(module(rows), outputs)
        program = torch.onnx.export(
            module,
            (rows,),
            input_names=[name],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            optimize=False,  # would fold weights, and round what it folds
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise ValueError("torch.onnx.export returned no program")
    content: bytes = program.model_proto.SerializeToString()
    return read(content)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part of it back after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, is_training in modes:
            part.training = is_training


def _check_order(returned: object, outputs: Sequence[str]) -> None:
    """
    Check that the outputs of a module have an order, by which they are named.

    Raises:
        ValueError: They have names of their own, or there are fewer than names.
    """
    found = (returned,) if isinstance(returned, Tensor) else returned
    if not isinstance(found, tuple | list) or not all(
        isinstance(one, Tensor) for one in found
    ):
        raise ValueError(
            "expected a module that returns a tensor, or a tuple of tensors in the "
            f"order of {', '.join(outputs)}, got {type(returned).__name__}"
        )
    if len(found) < len(outputs):
        raise ValueError(
            f"expected {len(outputs)} outputs ({', '.join(outputs)}), got {len(found)}"
        )
