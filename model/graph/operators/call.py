"""One use of an operator: its attributes, of the expected types."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from model.graph.graph import GraphError, Node

MAX_ATTRIBUTE = 1 << 16  # of strides, pads, dilations and kernels

Results = Tensor | Sequence[Tensor]


@final
class OperatorCall(NamedTuple):
    """
    A node while it is computed.

    Attributes:
        floating: The dtype of the rows, which every float32 of the graph becomes.
        opset: The version of the operators.
    """

    node: Node
    floating: torch.dtype
    opset: int

    def integer(self, name: str, default: int) -> int:
        """Return an integer."""
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int):
            raise GraphError(f"{self.node}: expected an integer {name}")
        return value

    def number(self, name: str, default: float) -> float:
        """Return a number."""
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int | float):
            raise GraphError(f"{self.node}: expected a number {name}")
        return float(value)

    def text(self, name: str, default: str) -> str:
        """Return a text."""
        value = self.node.attributes.get(name, default)
        if not isinstance(value, str):
            raise GraphError(f"{self.node}: expected a text {name}")
        return value

    def integers(self, name: str) -> list[int] | None:
        """Return integers, or None if they are not given."""
        value = self.node.attributes.get(name)
        if value is None:
            return None
        if not isinstance(value, tuple):
            raise GraphError(f"{self.node}: expected integers {name}")
        numbers: list[int] = []
        for number in value:
            if not isinstance(number, int):
                raise GraphError(f"{self.node}: expected integers {name}")
            numbers.append(number)
        return numbers

    def sizes(self, name: str, n: int, *, default: int, least: int) -> list[int]:
        """Return n small integers."""
        found = self.integers(name)
        found = [default] * n if found is None else found
        if len(found) != n or not all(least <= i <= MAX_ATTRIBUTE for i in found):
            raise GraphError(
                f"{self.node}: expected {n} integers {name} from {least} to "
                f"{MAX_ATTRIBUTE}, got {found[:8]}"
            )
        return found

    def positive(self, name: str) -> int:
        """Return a small integer above 0."""
        found = self.integer(name, 0)
        if not 1 <= found <= MAX_ATTRIBUTE:
            raise GraphError(
                f"{self.node}: expected {name} from 1 to {MAX_ATTRIBUTE}, got {found}"
            )
        return found

    def tensor(self, name: str) -> Tensor:
        """Return a tensor, by default a float32 of 0; floats get the rows' dtype."""
        value = self.node.attributes.get(name, np.zeros(1, np.float32))
        if not isinstance(value, np.ndarray):
            raise GraphError(f"{self.node}: expected a tensor {name}")
        found = torch.from_numpy(value)
        return found.to(self.floating) if found.dtype == torch.float32 else found

    def expect(self, name: str, value: int | str | float) -> None:
        """Check that an attribute has the only value that is served, if it is given."""
        found = self.node.attributes.get(name, value)
        if isinstance(found, np.ndarray) or found != value:
            raise GraphError(f"{self.node}: expected {name}={value!r}, got {found!r}")


Function = Callable[..., Results]


@final
@dataclass(frozen=True)
class Operator:
    """
    An operator of the closed list.

    Attributes:
        function: Computes it: `function(call, *inputs)`; an input that is not given is
            None.
        n_inputs: The smallest and the largest number of inputs.
        attributes: The attributes it may have.
        values: Which inputs must be known without the rows, such as a shape.
        n_outputs: The largest number of outputs.
    """

    function: Function
    n_inputs: tuple[int, int]
    attributes: tuple[str, ...] = ()
    values: tuple[int, ...] = ()
    n_outputs: int = 1


def integers(tensor: Tensor) -> list[int]:
    """Return the values of a vector of integers, or of a single one."""
    if tensor.is_floating_point() or tensor.is_complex():
        raise TypeError(f"expected integers, got {tensor.dtype}")
    return [int(value) for value in tensor.reshape(-1).tolist()]


def axis_of(call: OperatorCall, tensor: Tensor, default: int) -> int:
    """Return an axis that counts from 0."""
    axis = call.integer("axis", default)
    return inside(axis, tensor.dim())


def inside(axis: int, n_axes: int) -> int:
    """
    Return an axis that counts from 0.

    Raises:
        ValueError: There is no such axis.
    """
    if not -n_axes <= axis < n_axes:
        raise ValueError(f"expected an axis below {n_axes}, got {axis}")
    return axis % n_axes
