"""Take the weights out of a graph, so that they are stored and used like others."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, final

import numpy as np

from model.graph.graph import Array, Graph, GraphInput, Node
from model.graph.operators import OPERATORS

_WEIGHT = re.compile(r"w\d+(_\w+)?", re.ASCII)
_STATISTICS = {"BatchNormalization": (3, 4)}


@final
class Separated(NamedTuple):
    """A graph whose weights are inputs, and their values by name."""

    graph: Graph
    weights: Mapping[str, Array]


def separate(graph: Graph) -> Separated:
    """
    Make inputs of the tensors that are weights: of float32, on one axis or more.

    What must be known without the weights, such as the factors of a resize, stays a
    constant; so do single numbers.
    """
    fixed = {name for node in graph.nodes for name in _fixed_inputs(node)}
    taken = {graph.rows.name, *graph.producers(), *graph.constants}
    names: dict[str, str] = {}
    for name, values in graph.constants.items():
        if values.dtype == np.float32 and values.ndim > 0 and name not in fixed:
            names[name] = _weight_name(len(names), name, taken)
    weights = {new: graph.constants[old] for old, new in names.items()}
    inputs = [
        GraphInput(name, "float32", values.shape) for name, values in weights.items()
    ]
    renamed = replace(
        graph,
        inputs=(graph.rows, *inputs),
        nodes=tuple(
            replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))
            for node in graph.nodes
        ),
        constants={k: v for k, v in graph.constants.items() if k not in names},
    )
    return Separated(renamed, weights)


def is_weight_name(name: str) -> bool:
    """Return whether weights may have this name."""
    return _WEIGHT.fullmatch(name) is not None


def statistics(graph: Graph) -> set[str]:
    """Return the weights that were not optimized: means and variances of batches."""
    found: set[str] = set()
    for node in graph.nodes:
        slots = _STATISTICS.get(node.op, ())
        found.update(node.inputs[i] for i in slots if i < len(node.inputs))
    return found


def _weight_name(i: int, name: str, taken: set[str]) -> str:
    """Return a name that starts with a number of its own."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[-80:]
    found = f"w{i}_{words}" if words else f"w{i}"
    while found in taken:
        found += "_"
    return found


def _fixed_inputs(node: Node) -> list[str]:
    operator = OPERATORS.get(node.op)
    slots = operator.values if operator is not None else ()
    return [node.inputs[i] for i in slots if i < len(node.inputs)]
