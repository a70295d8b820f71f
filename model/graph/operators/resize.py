"""Resize: each axis is interpolated from its one, two or four nearest values."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.graph.graph import GraphError
from model.graph.operators.call import Operator, OperatorCall, inside, integers

_MAX_SIDE = 1 << 16


class _Axis(NamedTuple):
    """An axis of `n` values that becomes one of `size`, `scale` times as long."""

    n: int
    size: int
    scale: float


def _resize(
    call: OperatorCall,
    x: Tensor,
    _region: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    call.expect("antialias", 0)
    call.expect("exclude_outside", 0)
    call.expect("keep_aspect_ratio_policy", "stretch")
    axes = call.integers("axes")
    chosen = range(x.dim()) if axes is None else [inside(a, x.dim()) for a in axes]
    for i, where in enumerate(chosen):
        axis = _axis(x.shape[where], i, scales, sizes)
        if axis.scale == 1 and axis.size == axis.n:
            continue
        if not 1 <= axis.size <= _MAX_SIDE:
            raise ValueError(f"expected sizes from 1 to {_MAX_SIDE}, got {axis.size}")
        index, weights = _taps(call, axis)
        x = _interpolate(x, where, index, weights)
    return x


def _axis(n: int, i: int, scales: Tensor | None, sizes: Tensor | None) -> _Axis:
    if sizes is not None and sizes.numel():
        size = integers(sizes)[i]
        return _Axis(n, size, size / n)
    if scales is None:
        raise ValueError("expected scales or sizes")
    scale = float(scales[i])
    return _Axis(n, int(np.floor(n * scale)), scale)


def _interpolate(
    x: Tensor, where: int, index: NDArray[np.int64], weights: NDArray[np.float32]
) -> Tensor:
    """Sum the taps of each value; index and weights are (taps, size)."""
    shape = [-1 if axis == where else 1 for axis in range(x.dim())]
    total: Tensor | None = None
    for taps, share in zip(index, weights, strict=True):
        part = x.index_select(where, torch.from_numpy(taps).to(x.device))
        if len(index) == 1:
            return part
        part = part * torch.from_numpy(share).to(part).reshape(shape)
        total = part if total is None else total + part
    if total is None:
        raise ValueError("expected taps")
    return total


def _taps(
    call: OperatorCall, axis: _Axis
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where each value comes from, and with which weights."""
    at: NDArray[np.floating] = _coordinates(call, axis)
    mode = call.text("mode", "nearest")
    if mode == "nearest":
        nearest = _round(call, at)
        index = np.clip(nearest, 0, axis.n - 1).astype(np.int64)[None]
        return index, np.ones_like(index, np.float32)
    if mode == "linear":
        at = np.clip(at, 0, axis.n - 1)
        low = np.floor(at)
        weights = np.stack([1 - (at - low), at - low])
        index = np.stack([low, low + 1])
    elif mode == "cubic":
        low = np.floor(at)
        weights = _cubic(at - low, call.number("cubic_coeff_a", -0.75))
        index = np.stack([low - 1, low, low + 1, low + 2])
    else:
        raise GraphError(f"{call.node}: expected mode nearest, linear or cubic")
    return np.clip(index, 0, axis.n - 1).astype(np.int64), weights.astype(np.float32)


def _coordinates(call: OperatorCall, axis: _Axis) -> NDArray[np.float32]:
    """Return the place in the old axis of each value of the new one, as float32."""
    how = call.text("coordinate_transformation_mode", "half_pixel")
    i = np.arange(axis.size, dtype=np.float32)
    scale, half = np.float32(axis.scale), np.float32(0.5)
    if how == "half_pixel" or (how == "pytorch_half_pixel" and axis.size > 1):
        return (i + half) / scale - half
    if how == "pytorch_half_pixel":
        return np.zeros_like(i)
    if how == "asymmetric":
        return i / scale
    if how == "align_corners":
        if axis.size == 1:
            return np.zeros_like(i)
        return i * np.float32(axis.n - 1) / np.float32(axis.size - 1)
    raise GraphError(
        f"{call.node}: expected coordinates half_pixel, pytorch_half_pixel, "
        f"align_corners or asymmetric, got {how!r}"
    )


def _round(call: OperatorCall, at: NDArray[np.floating]) -> NDArray[np.floating]:
    how = call.text("nearest_mode", "round_prefer_floor")
    half = np.float32(0.5)
    if how == "round_prefer_floor":
        return np.asarray(np.ceil(at - half))
    if how == "round_prefer_ceil":
        return np.asarray(np.floor(at + half))
    if how == "floor":
        return np.asarray(np.floor(at))
    if how == "ceil":
        return np.asarray(np.ceil(at))
    raise GraphError(f"{call.node}: expected a nearest_mode of ONNX, got {how!r}")


def _cubic(t: NDArray[np.floating], a: float) -> NDArray[np.float64]:
    """Return the weights of Keys (1981) of the four values around a place."""
    u = t.astype(np.float64)

    def near(s: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((a + 2) * s - (a + 3)) * s * s + 1

    def far(s: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a

    return np.stack([far(u + 1), near(u), near(1 - u), far(2 - u)])


RESIZE = {
    "Resize": Operator(
        _resize,
        (1, 4),
        (
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ),
        values=(1, 2, 3),
    )
}
