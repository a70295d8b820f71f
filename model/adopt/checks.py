"""
Check adopted networks before anything is written.

They are computed with 1, 2, 7 and 128 rows, in torch and in ONNX Runtime: values must
be finite, the two must agree, and a row must not depend on the other rows.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.engine.onnx import OnnxVAE
from model.engine.probe import probe
from model.graph import GraphNetwork, Node
from model.graph.evaluation import apply, steps
from model.graph.operators import OperatorCall
from model.graph.pair import CHECKED_ROWS
from model.vae import VAE

Array = NDArray[np.float32]

# Relative to the largest value. A row that depends on others moves by far more.
_TOLERANCE = 1e-4
_N_FEW = 7


def check_networks(vae: VAE, x: Array | None, *, n_threads: int) -> float:
    """
    Check encoder and decoder on rows of data, or on draws from the model.

    Args:
        x: Data, (n, D).

    Returns:
        The largest difference of ONNX Runtime from torch, relative to the values.

    Raises:
        ValueError: A value is not finite, the backends disagree, or a row depends on
            the other rows; the message names the node.
    """
    rows = probe(vae, max(CHECKED_ROWS))
    data = rows.x if x is None or not len(x) else _repeated(x, max(CHECKED_ROWS))
    served = OnnxVAE(vae, n_threads=n_threads)
    worst = 0.0
    for name, network, own, inputs in (
        ("encoder", vae.encoder.graph, served.encode_rows, data),
        ("decoder", vae.decoder.graph, served.decode_rows, rows.z),
    ):
        if network is None:
            raise ValueError("expected a VAE of graphs")
        _check_finite(name, network, inputs)
        _check_independent(name, network, inputs)
        for n in CHECKED_ROWS:
            wanted = _heads(network, inputs[:n])
            got = own(inputs[:n].copy())
            worst = max(worst, _difference(f"{name}, {n} rows", got, wanted))
    return worst


def _repeated(x: Array, n: int) -> Array:
    return np.resize(x, (n, x.shape[1])).astype(np.float32)


@torch.no_grad()
def _heads(network: GraphNetwork, rows: Array) -> list[Array]:
    return [head.numpy() for head in network(torch.from_numpy(rows.copy()))]


def _check_finite(name: str, network: GraphNetwork, rows: Array) -> None:
    for head in _heads(network, rows):
        if not np.isfinite(head).all():
            row = int(np.argwhere(~np.isfinite(head))[0][0])
            raise ValueError(
                f"{name}: a result of row {row} of the check is not finite"
            )


def _difference(what: str, got: Sequence[Array], wanted: Sequence[Array]) -> float:
    """Return the largest relative difference, and check that it is small."""
    worst = 0.0
    for one, other in zip(got, wanted, strict=True):
        error = np.abs(one - other).max() / max(1.0, float(np.abs(other).max()))
        if one.shape != other.shape or not error <= _TOLERANCE:
            raise ValueError(
                f"{what}: ONNX Runtime and torch differ by {error:.2g}, more than "
                f"{_TOLERANCE:g} of the largest value"
            )
        worst = max(worst, float(error))
    return worst


def _check_independent(name: str, network: GraphNetwork, rows: Array) -> None:
    """Check that a row has the same results among other rows."""
    among = rows[:_N_FEW].copy()
    others = np.concatenate([rows[:1], 3 * rows[1:_N_FEW] + 1]).astype(np.float32)
    pairs = zip(_heads(network, among), _heads(network, others), strict=True)
    if all(_is_near(one[:1], other[:1]) for one, other in pairs):
        return
    culprit = _first_dependent(network, among, others)
    where = "" if culprit is None else f", first in {culprit}"
    raise ValueError(
        f"{name}: the results of a row depend on the other rows{where}. A batch "
        "normalization in training mode does this: export in eval mode (module.eval())"
    )


@torch.no_grad()
def _first_dependent(network: GraphNetwork, among: Array, others: Array) -> Node | None:
    """Return the first node whose result for the first row differs."""
    graph = network.graph
    fixed = network.fixed_values()
    one, other = (
        {**fixed, graph.rows.name: torch.from_numpy(rows)} for rows in (among, others)
    )
    for step in steps(graph):
        call = OperatorCall(step.node, torch.float32, graph.opset)
        for known in (one, other):
            inputs = [known[name] if name else None for name in step.node.inputs]
            known.update(
                zip(step.node.outputs, apply(step, call, inputs), strict=False)
            )
        output = step.node.outputs[0]
        if not _is_near(_first(one[output]), _first(other[output])):
            return step.node
    return None


def _first(tensor: Tensor) -> Array:
    """Return the part of a value that belongs to the first row; all of it if none."""
    values: Array = tensor.float().numpy()
    if values.ndim and len(values) and len(values) % _N_FEW == 0:
        return values[: len(values) // _N_FEW]
    return values


def _is_near(one: Array, other: Array) -> bool:
    largest = max(1.0, float(np.abs(one).max(initial=0.0)))
    return bool(np.abs(one - other).max(initial=0.0) <= _TOLERANCE * largest)
