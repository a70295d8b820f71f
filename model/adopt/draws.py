"""
Check the declared spread of q(z|x) against a draw, where the encoder also returns one.

A draw is z = mu + sigma * eps. With every random node replaced by ones, z - mu is
sigma.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np
import torch

from model.adopt.layout import ExampleLayout
from model.graph import Graph, GraphError, GraphNetwork, Node
from model.graph.limits import output_shapes

_RANDOM = ("RandomNormalLike", "RandomNormal")
_N_ROWS = 7
_TOLERANCE = 1e-3


def check(graph: Graph, found: Mapping[str, str], examples: ExampleLayout) -> None:
    """
    Check that an output that is a draw of q(z|x) has the spread that was found.

    Raises:
        ValueError: Its spread is another one.
    """
    if "mu" not in found:
        return
    (spread,) = found.keys() - {"mu"}
    for name in graph.outputs:
        is_draw = _without_noise(graph.ending_in((name,))) is not None
        if is_draw and name not in found.values():
            _check_spread(graph, found, spread, name, examples)


def _check_spread(
    graph: Graph,
    found: Mapping[str, str],
    spread: str,
    draw: str,
    examples: ExampleLayout,
) -> None:
    both = _without_noise(graph.ending_in((found["mu"], found[spread], draw)))
    if both is None:
        return
    x = np.random.default_rng(0).random((_N_ROWS, examples.n_values), np.float32)
    shape = [size or 0 for size in (graph.rows.shape or ())[1:]]
    if prod(shape) != examples.n_values:
        return
    rows = (_N_ROWS, *shape)
    try:
        output_shapes(both, rows, _N_ROWS)
        with torch.no_grad():
            mu, width, z = GraphNetwork(both)(torch.from_numpy(x.reshape(rows)))
    except GraphError:
        return  # the draw is made in a way that is not served; it is dropped
    sigma = _sigma(width, spread)
    if z.shape != mu.shape or sigma.shape != mu.shape:
        return
    error = ((z - mu).abs() - sigma).abs().max() / sigma.abs().max().clamp(min=1e-6)
    if float(error) > _TOLERANCE:
        raise ValueError(
            f"the encoder's draw {draw[:80]!r} does not have the spread of "
            f"{found[spread][:80]!r} taken for {spread}: for noise of 1, |z - mu| "
            f"differs by {float(error):.2g} of sigma; declare it with --encoder-outputs"
        )


def _sigma(width: torch.Tensor, spread: str) -> torch.Tensor:
    if spread == "sigma":
        return width
    return torch.exp(width if spread == "log_sigma" else 0.5 * width)


def _without_noise(graph: Graph) -> Graph | None:
    """Replace random nodes by ones; None if there are none, or others."""
    nodes: list[Node] = []
    constants = dict(graph.constants)
    is_random = False
    for node in graph.nodes:
        if node.op not in _RANDOM:
            nodes.append(node)
            continue
        is_random = True
        if node.attributes.get("scale", 1.0) != 1.0:
            return None
        output = node.outputs[0]
        if node.op == "RandomNormal":
            shape = node.attributes.get("shape", ())
            constants[f"{output}/shape"] = np.array(shape, np.int64)
        else:
            shaped = (f"{output}/shape",)
            nodes.append(Node("Shape", "", node.inputs, shaped, {}))
        one = {"value": np.ones(1, np.float32)}
        nodes.append(Node("ConstantOfShape", "", (f"{output}/shape",), (output,), one))
    if not is_random:
        return None
    return replace(graph, nodes=tuple(nodes), constants=constants)
