"""Adopt networks that are torch modules in this process."""

from collections.abc import Sequence
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

    The modules are put into evaluation mode and exported by torch.onnx.export.

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
        ValueError: There are too few rows, or the graph cannot be read.
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
    program = torch.onnx.export(
        module.eval(),
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
