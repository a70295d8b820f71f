"""Add nodes to a graph, before its first node and behind its outputs."""

from dataclasses import replace
from typing import Any, final

import numpy as np

from model.graph import Graph, GraphInput, Node
from model.graph.graph import Array, Attribute


@final
class Builder:
    """
    Builds a graph around another one.

    Attributes:
        graph: The one that is built around.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._before: list[Node] = []
        self._behind: list[Node] = []
        self._constants: dict[str, Array] = {}
        self._taken = {*graph.producers(), *graph.constants, graph.rows.name}

    def before(self, op: str, x: str, *others: Any, **attributes: Attribute) -> str:
        """Add a node before the graph, and return the name of its output."""
        return self._add(self._before, op, x, others, attributes)

    def behind(self, op: str, x: str, *others: Any, **attributes: Attribute) -> str:
        """Add a node behind the graph, and return the name of its output."""
        return self._add(self._behind, op, x, others, attributes)

    def finish(self, rows: str, fed: str, outputs: tuple[str, ...]) -> Graph:
        """
        Return the graph.

        Args:
            rows: The name of the new input, (N, width).
            fed: What the old graph gets as its input.
            outputs: The new outputs.
        """
        old = self.graph.rows.name
        nodes = [
            replace(node, inputs=tuple(fed if n == old else n for n in node.inputs))
            for node in self.graph.nodes
        ]
        built = replace(
            self.graph,
            inputs=(GraphInput(rows, "float32", (None, None)),),
            nodes=(*self._before, *nodes, *self._behind),
            constants={**self.graph.constants, **self._constants},
        )
        return built.ending_in(tuple(fed if n == old else n for n in outputs))

    def constant(self, name: str, values: Array) -> str:
        """Add a constant, and return its name."""
        taken = self.name(name)
        self._constants[taken] = values
        return taken

    def name(self, wanted: str) -> str:
        """Return a name that is not taken, and take it."""
        name, i = wanted, 0
        while name in self._taken:
            name, i = f"{wanted}_{i}", i + 1
        self._taken.add(name)
        return name

    def _add(
        self,
        nodes: list[Node],
        op: str,
        x: str,
        others: tuple[Any, ...],
        attributes: dict[str, Attribute],
    ) -> str:
        inputs = (x, *(self._input(other) for other in others))
        output = self.name(f"{op.lower()}_adopted")
        nodes.append(Node(op, output, inputs, (output,), attributes))
        return output

    def _input(self, value: Any) -> str:
        """Return the name of a value, which is a constant if it is an array."""
        if isinstance(value, str):
            return value
        return self.constant("constant_adopted", np.asarray(value))
