"""A graph of ONNX operators as plain values, without anything that could execute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from numpy.typing import NDArray

Array = NDArray[Any]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | Array


@final
class GraphError(ValueError):
    """A graph that is not served; the message names the node and says why."""


@final
@dataclass(frozen=True, eq=False)
class Node:
    """
    One operator.

    Attributes:
        inputs: Names of values; "" is an optional input that is not given.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    def __str__(self) -> str:
        """Return name and operator, for messages."""
        return f"node {(self.name or self.outputs[0])[:80]!r} ({self.op})"


@final
@dataclass(frozen=True)
class GraphInput:
    """
    An input of a graph: the rows, or a tensor of weights.

    Attributes:
        shape: None where the size is free.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@final
@dataclass(frozen=True, eq=False)
class Graph:
    """
    Nodes in the order of computation.

    Attributes:
        opset: The version of the operators.
        inputs: The rows first, then the weights that are stored elsewhere.
        constants: Tensors in the graph, by name.
    """

    opset: int
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]

    @property
    def rows(self) -> GraphInput:
        """The input that holds one example per row."""
        return self.inputs[0]

    @property
    def weights(self) -> tuple[GraphInput, ...]:
        """The inputs that are weights."""
        return self.inputs[1:]

    def producers(self) -> dict[str, Node]:
        """Return for each value that a node computes this node."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def ending_in(self, outputs: Sequence[str]) -> "Graph":
        """Return the graph of these outputs, without the nodes they do not need."""
        needed = set(outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        return replace(
            self,
            outputs=tuple(outputs),
            nodes=tuple(reversed(kept)),
            constants={k: v for k, v in self.constants.items() if k in needed},
        )


def n_values(shape: Sequence[int]) -> int:
    """Return the number of values of a shape, without overflow."""
    total = 1
    for size in shape:
        total *= size
    return total
