"""A graph as a torch module, whose gradients exist and whose dtype can change."""

from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from model.graph.evaluation import compute, steps
from model.graph.graph import Graph
from model.graph.weights import statistics


@final
class GraphNetwork(nn.Module):
    """
    The function from rows to heads that a graph describes.

    Its parameters are the graph's weights. Statistics of batch normalization are
    buffers, since training does not optimize them.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self._steps = steps(graph)
        buffers = statistics(graph)
        for weight in graph.weights:
            empty = torch.empty([size or 0 for size in weight.shape or ()])
            if weight.name in buffers:
                self.register_buffer(weight.name, empty)
            else:
                self.register_parameter(weight.name, nn.Parameter(empty))
        self._numbers: dict[str, str] = {}
        self._integers: dict[str, Tensor] = {}
        for i, (name, values) in enumerate(graph.constants.items()):
            tensor = torch.from_numpy(np.array(values))
            if tensor.dtype == torch.float32:
                self._numbers[name] = f"constant_{i}"
                self.register_buffer(f"constant_{i}", tensor, persistent=False)
            else:
                self._integers[name] = tensor

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Compute the heads of rows, (N, ...)."""
        graph = self.graph
        values = {**self.fixed_values(), graph.rows.name: rows}
        return compute(
            self._steps, values, graph.outputs, floating=rows.dtype, opset=graph.opset
        )

    def fixed_values(self) -> dict[str, Tensor]:
        """Return weights and constants by name."""
        return {
            **{
                weight.name: getattr(self, weight.name) for weight in self.graph.weights
            },
            **{name: getattr(self, own) for name, own in self._numbers.items()},
            **self._integers,
        }
