"""How the networks order the axes of an example."""

from dataclasses import dataclass
from math import prod
from typing import final

import numpy as np
from numpy.typing import NDArray

from model.adopt.builder import Builder
from model.adopt.options import AxisOrder

_AXES = {"flat": 1, "flat_chw": 1, "nhw": 2, "nhwc": 3, "nchw": 3}


@final
@dataclass(frozen=True)
class ExampleLayout:
    """
    The shape of an example, and how a network orders its axes.

    Attributes:
        data_shape: As the service has it, channels last: (D,), (H, W) or (H, W, C).
    """

    data_shape: tuple[int, ...]
    layout: str

    @property
    def n_values(self) -> int:
        """D."""
        return prod(self.data_shape)

    @property
    def _sides(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width, *channels = self.data_shape
        return height, width, channels[0] if channels else 1

    def to_network(self, builder: Builder, rows: str) -> str:
        """Add nodes that bring rows, (N, D), into the order of the network."""
        if self.layout == "flat":
            return rows
        height, width, channels = self._sides
        if self.layout == "nhw":
            return builder.before("Reshape", rows, [0, height, width])
        if self.layout == "nhwc":
            return builder.before("Reshape", rows, [0, height, width, channels])
        if channels == 1:
            if self.layout == "flat_chw":
                return rows
            return builder.before("Reshape", rows, [0, 1, height, width])
        x = builder.before("Reshape", rows, [0, height, width, channels])
        x = builder.before("Transpose", x, perm=(0, 3, 1, 2))
        if self.layout == "nchw":
            return x
        return builder.before("Flatten", x, axis=1)

    def to_rows(self, builder: Builder, x: str, shape: tuple[int, ...]) -> str:
        """
        Add nodes that bring a result of the network into rows, (N, D).

        Raises:
            ValueError: It has another number of values.
        """
        if prod(shape[1:]) != self.n_values:
            raise ValueError(
                f"the decoder's output {x[:80]!r}: expected {self.n_values} values of "
                f"an example of shape {list(self.data_shape)}, got {list(shape[1:])}"
            )
        if len(self.data_shape) == 3 and self._is_channels_first(shape):
            height, width, channels = self._sides
            x = builder.behind("Reshape", x, [0, channels, height, width])
            x = builder.behind("Transpose", x, perm=(0, 2, 3, 1))
            return builder.behind("Flatten", x, axis=1)
        return x if len(shape) == 2 else builder.behind("Flatten", x, axis=1)

    def rows_of(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an array in the order of the network as rows, (N, D)."""
        if len(self.data_shape) == 3 and self._is_channels_first(array.shape):
            height, width, channels = self._sides
            array = array.reshape(len(array), channels, height, width)
            array = array.transpose(0, 2, 3, 1)
        return array.reshape(len(array), -1)

    def _is_channels_first(self, shape: tuple[int, ...]) -> bool:
        height, width, channels = self._sides
        if len(shape) == 2:
            return self.layout == "flat_chw"
        sides = tuple(shape[1:])
        first, last = (channels, height, width), (height, width, channels)
        if sides not in (first, last):
            raise ValueError(f"expected an output of {first} or {last}, got {sides}")
        if first == last:
            return self.layout == "nchw"
        return sides == first


def examples_of(
    shape: tuple[int | None, ...] | None,
    *,
    data_shape: tuple[int, ...] | None,
    layout: AxisOrder,
) -> ExampleLayout:
    """
    Return how an encoder with an input of a shape orders its examples.

    Raises:
        ValueError: It is not clear; the message names the option that says it.
    """
    sizes = None if shape is None else shape[1:]
    chosen = _layout(sizes, data_shape) if layout == "auto" else layout
    if sizes is not None and len(sizes) != _AXES[chosen]:
        raise ValueError(
            f"--layout {chosen}: the encoder's input has the shape {_text(shape)}"
        )
    if data_shape is None:
        data_shape = _data_shape(sizes, chosen)
    found = ExampleLayout(data_shape, chosen)
    if chosen != "flat" and len(data_shape) not in (2, 3):
        raise ValueError(f"--layout {chosen} needs --data-shape H W or H W C")
    if sizes is not None and None not in sizes:
        n = prod(size or 0 for size in sizes)
        if n != found.n_values:
            raise ValueError(
                f"examples of the shape {list(data_shape)}, by --data-shape or --data, "
                f"have {found.n_values} values, the encoder's input has {n}"
            )
    return found


def _layout(
    sizes: tuple[int | None, ...] | None, data_shape: tuple[int, ...] | None
) -> str:
    n_axes = None if sizes is None else len(sizes)
    if n_axes == 1 or (sizes is None and data_shape is not None):
        if data_shape is not None and len(data_shape) == 3:
            raise ValueError(
                "flattened images with channels: give --layout flat if channels are "
                "last, flat_chw if they are first"
            )
        return "flat"
    if n_axes == 2:
        return "nhw"
    if sizes is not None and n_axes == 3:
        first, last = sizes[0] in (1, 3), sizes[2] in (1, 3)
        if first != last:
            return "nchw" if first else "nhwc"
    raise ValueError(
        "the encoder's input does not show its order of axes: give --layout "
        "(flat, flat_chw, nhw, nhwc or nchw) and --data-shape"
    )


def _data_shape(sizes: tuple[int | None, ...] | None, layout: str) -> tuple[int, ...]:
    if sizes is None or None in sizes:
        raise ValueError("the encoder's input has no fixed sizes: give --data-shape")
    known = tuple(size or 0 for size in sizes)
    if layout == "nchw":
        known = (*known[1:], known[0])
    if layout == "flat_chw":
        raise ValueError("--layout flat_chw needs --data-shape H W C")
    return known[:2] if len(known) == 3 and known[2] == 1 else known


def _text(shape: tuple[int | None, ...] | None) -> str:
    return "[" + ", ".join("N" if n is None else str(n) for n in shape or ()) + "]"
