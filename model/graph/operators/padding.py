"""Where the windows of convolutions and pooling lie."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from model.graph.graph import GraphError, n_values
from model.graph.operators.call import OperatorCall

MAX_PADDED = 1 << 24  # values of one row


class Window(NamedTuple):
    """A window for each spatial axis, and the padding before and behind the data."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    end: list[int]

    @property
    def widths(self) -> list[int]:
        """The number of values that a window spans."""
        return [
            (k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)
        ]


def window(call: OperatorCall, x: Tensor, kernel: Sequence[int]) -> Window:
    """
    Return the windows of a convolution or of pooling.

    Raises:
        ValueError: The padded data would be too large.
    """
    found = _placed(call, x.shape[2:], kernel)
    sides = zip(x.shape[2:], found.begin, found.end, strict=True)
    _check_padded([*x.shape[1:2], *(sum(side) for side in sides)])
    return found


def _placed(call: OperatorCall, sizes: Sequence[int], kernel: Sequence[int]) -> Window:
    found = _declared(call, kernel)
    how = call.text("auto_pad", "NOTSET")
    if not _is_automatic(call, how):
        return found
    # As many windows as strides fit, those at the edges reaching out.
    total = [
        max(0, (-(-size // stride) - 1) * stride + width - size)
        for size, stride, width in zip(sizes, found.strides, found.widths, strict=True)
    ]
    return _shared(found, total, lower=how == "SAME_LOWER")


def window_of_transpose(
    call: OperatorCall, x: Tensor, w: Tensor
) -> tuple[Window, list[int]]:
    """
    Return the windows of a transposed convolution, and what is added at the end.

    Raises:
        ValueError: The result would be too large before its sides are cut.
    """
    sizes = x.shape[2:]
    found, extra = _placed_transpose(call, sizes, w.shape[2:])
    parts = zip(sizes, found.strides, found.widths, extra, strict=True)
    spans = [(size - 1) * step + width + more for size, step, width, more in parts]
    _check_padded([*w.shape[1:2], *spans])
    return found, extra


def _placed_transpose(
    call: OperatorCall, sizes: Sequence[int], kernel: Sequence[int]
) -> tuple[Window, list[int]]:
    n = len(kernel)
    found = _declared(call, kernel)
    extra = call.sizes("output_padding", n, default=0, least=0)
    wanted = call.integers("output_shape")
    how = call.text("auto_pad", "NOTSET")
    automatic = _is_automatic(call, how)
    if wanted is None and not automatic:
        return found, extra
    if wanted is None:
        wanted = [
            size * stride for size, stride in zip(sizes, found.strides, strict=True)
        ]
    if len(wanted) != n:
        raise GraphError(f"{call.node}: expected an output_shape of {n} sizes")
    parts = zip(sizes, found.strides, found.widths, extra, wanted, strict=True)
    total = [
        (size - 1) * stride + width + more - want
        for size, stride, width, more, want in parts
    ]
    extra = [more - min(0, t) for more, t in zip(extra, total, strict=True)]
    return _shared(found, [max(0, t) for t in total], lower=how != "SAME_UPPER"), extra


def pad_sides(
    x: Tensor, over: Window, *, value: float, symmetric: bool = True
) -> tuple[Tensor, list[int]]:
    """
    Pad data where the function that follows cannot, and return what it is to pad.

    Args:
        symmetric: Whether it can pad by the same number on both sides.
    """
    zeros = [0] * len(over.begin)
    if over.begin == over.end and (symmetric or over.begin == zeros):
        return x, over.begin
    sides = zip(reversed(over.begin), reversed(over.end), strict=True)
    return functional.pad(x, [n for pair in sides for n in pair], value=value), zeros


def cut_sides(y: Tensor, over: Window) -> Tensor:
    """Remove the padding from the result of a transposed convolution."""
    for axis, (begin, end) in enumerate(zip(over.begin, over.end, strict=True), 2):
        y = y.narrow(axis, begin, y.shape[axis] - begin - end)
    return y


def _declared(call: OperatorCall, kernel: Sequence[int]) -> Window:
    n = len(kernel)
    if (declared := call.integers("kernel_shape")) not in (None, list(kernel)):
        raise GraphError(
            f"{call.node}: expected kernel_shape {list(kernel)}, got {declared}"
        )
    pads = call.sizes("pads", 2 * n, default=0, least=0)
    return Window(
        kernel=list(kernel),
        strides=call.sizes("strides", n, default=1, least=1),
        dilations=call.sizes("dilations", n, default=1, least=1),
        begin=pads[:n],
        end=pads[n:],
    )


def _check_padded(shape: Sequence[int]) -> None:
    if n_values(shape) > MAX_PADDED:
        raise ValueError(
            f"expected at most {MAX_PADDED} values of a row with padding, "
            f"got a shape of {list(shape)}"
        )


def _is_automatic(call: OperatorCall, how: str) -> bool:
    if how not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise GraphError(f"{call.node}: expected an auto_pad of ONNX, got {how!r}")
    return how.startswith("SAME")


def _shared(found: Window, total: list[int], *, lower: bool) -> Window:
    """Share padding between both sides; what is odd goes to one of them."""
    small, large = [n // 2 for n in total], [n - n // 2 for n in total]
    if lower:
        return found._replace(begin=large, end=small)
    return found._replace(begin=small, end=large)
