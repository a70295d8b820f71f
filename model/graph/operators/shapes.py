"""Operators that move values and change shapes."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from model.graph.graph import GraphError, n_values
from model.graph.operators.call import Operator, OperatorCall, axis_of, inside, integers

_CASTS = {
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    11: torch.float64,
}
_FLOAT = 1
MAX_RANGE = MAX_PAD = 1 << 16


def _reshape(call: OperatorCall, x: Tensor, shape: Tensor) -> Tensor:
    wanted = integers(shape)
    if not call.integer("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(call: OperatorCall, x: Tensor) -> Tensor:
    axis = call.integer("axis", 1)
    axis = x.dim() if axis == x.dim() else inside(axis, x.dim())
    return x.reshape(n_values(x.shape[:axis]), n_values(x.shape[axis:]))


def _transpose(call: OperatorCall, x: Tensor) -> Tensor:
    return x.permute(call.integers("perm") or list(reversed(range(x.dim()))))


def _squeeze(_call: OperatorCall, x: Tensor, axes: Tensor | None = None) -> Tensor:
    if axes is None:
        return x.squeeze()
    chosen = [inside(axis, x.dim()) for axis in integers(axes)]
    if any(x.shape[axis] != 1 for axis in chosen):
        raise ValueError(f"expected axes {chosen} of size 1, got {list(x.shape)}")
    return x.squeeze(tuple(chosen))


def _unsqueeze(_call: OperatorCall, x: Tensor, axes: Tensor) -> Tensor:
    added = integers(axes)
    n_axes = x.dim() + len(added)
    for axis in sorted(inside(axis, n_axes) for axis in added):
        x = x.unsqueeze(axis)
    return x


def _concat(call: OperatorCall, *xs: Tensor) -> Tensor:
    return torch.cat(xs, axis_of(call, xs[0], 0))


def _split(
    call: OperatorCall, x: Tensor, sizes: Tensor | None = None
) -> Sequence[Tensor]:
    axis = axis_of(call, x, 0)
    if sizes is not None:
        return torch.split(x, integers(sizes), axis)
    n = call.integer("num_outputs", len(call.node.outputs))
    if n != len(call.node.outputs):
        raise ValueError(f"expected {n} outputs, got {len(call.node.outputs)}")
    size = -(-x.shape[axis] // n)  # the last part may be smaller
    parts = torch.split(x, size, axis)
    if len(parts) != n:
        raise ValueError(f"an axis of {x.shape[axis]} does not split into {n}")
    return parts


def _slice(
    _call: OperatorCall,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    first, last = integers(starts), integers(ends)
    chosen = list(range(len(first))) if axes is None else integers(axes)
    strides = [1] * len(first) if steps is None else integers(steps)
    for start, end, axis, step in zip(first, last, chosen, strides, strict=True):
        where = inside(axis, x.dim())
        kept = range(x.shape[where])[slice(start, end, step)]
        if step == 1:
            x = x.narrow(where, kept.start, len(kept))
        else:
            index = torch.tensor(kept, dtype=torch.int64, device=x.device)
            x = x.index_select(where, index)
    return x


def _gather(call: OperatorCall, x: Tensor, index: Tensor) -> Tensor:
    axis = axis_of(call, x, 0)
    index = index.to(torch.int64)
    index = torch.where(index < 0, index + x.shape[axis], index)
    found = x.index_select(axis, index.reshape(-1))
    return found.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def _expand(_call: OperatorCall, x: Tensor, shape: Tensor) -> Tensor:
    return x.expand(_broadcast(x.shape, integers(shape)))


def _broadcast(one: Sequence[int], other: Sequence[int]) -> list[int]:
    n = max(len(one), len(other))
    pairs = zip(
        [*[1] * (n - len(one)), *one], [*[1] * (n - len(other)), *other], strict=True
    )
    sizes = []
    for a, b in pairs:
        if a != b and 1 not in (a, b):
            raise ValueError(f"expected sizes that fit, got {a} and {b}")
        sizes.append(b if a == 1 else a)
    return sizes


def _tile(_call: OperatorCall, x: Tensor, repeats: Tensor) -> Tensor:
    times = integers(repeats)
    if len(times) != x.dim():
        raise ValueError(f"expected {x.dim()} repeats, got {len(times)}")
    return x.repeat(times)


def _pad(
    call: OperatorCall,
    x: Tensor,
    pads: Tensor,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    sizes = integers(pads)
    chosen = list(range(x.dim())) if axes is None else integers(axes)
    if any(abs(size) > MAX_PAD for size in sizes):
        raise ValueError(f"expected pads of at most {MAX_PAD}, got {sizes[:8]}")
    if len(sizes) != 2 * len(chosen):
        raise ValueError(f"expected {2 * len(chosen)} pads, got {len(sizes)}")
    around = [(0, 0)] * x.dim()
    for i, axis in enumerate(chosen):
        around[inside(axis, x.dim())] = (sizes[i], sizes[len(chosen) + i])
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(
        call.text("mode", "constant")
    )
    if mode is None:
        raise GraphError(f"{call.node}: expected mode constant, reflect or edge")
    if mode == "constant":
        flat = [size for pair in reversed(around) for size in pair]
        return functional.pad(x, flat, value=0.0 if value is None else float(value))
    # Torch pads the last axes only, one to three of them.
    n = next((i for i, pair in enumerate(around) if pair != (0, 0)), x.dim())
    if n == x.dim():
        return x
    return functional.pad(
        x, [s for pair in reversed(around[n:]) for s in pair], mode=mode
    )


def _shape(call: OperatorCall, x: Tensor) -> Tensor:
    sizes = list(x.shape)[call.integer("start", 0) : call.integer("end", x.dim())]
    return torch.tensor(sizes, dtype=torch.int64)


def _size(_call: OperatorCall, x: Tensor) -> Tensor:
    return torch.tensor(x.numel(), dtype=torch.int64)


def _constant_of_shape(call: OperatorCall, shape: Tensor) -> Tensor:
    # Expanded, not filled: it takes no memory until it is used.
    return call.tensor("value").reshape(()).expand(integers(shape))


def _range(_call: OperatorCall, start: Tensor, limit: Tensor, step: Tensor) -> Tensor:
    values = range(integers(start)[0], integers(limit)[0], integers(step)[0])
    if len(values) > MAX_RANGE:
        raise ValueError(f"expected at most {MAX_RANGE} numbers, got {len(values)}")
    return torch.tensor(list(values), dtype=torch.int64)


def _cast(call: OperatorCall, x: Tensor) -> Tensor:
    to = call.integer("to", 0)
    if to == _FLOAT:
        return x.to(call.floating)
    dtype = _CASTS.get(to)
    if dtype is None:
        raise GraphError(
            f"{call.node}: expected a cast to float32, float64, int32, int64 or bool"
        )
    return x.to(dtype)


def _cast_like(_call: OperatorCall, x: Tensor, other: Tensor) -> Tensor:
    return x.to(other.dtype)


def _depth_to_space(call: OperatorCall, x: Tensor) -> Tensor:
    n, channels, height, width = x.shape
    block = call.positive("blocksize")
    depth = channels // block**2
    if call.text("mode", "DCR") == "DCR":
        parts = x.reshape(n, block, block, depth, height, width)
        parts = parts.permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, depth, block, block, height, width)
        parts = parts.permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, depth, height * block, width * block)


def _space_to_depth(call: OperatorCall, x: Tensor) -> Tensor:
    n, channels, height, width = x.shape
    block = call.positive("blocksize")
    parts = x.reshape(n, channels, height // block, block, width // block, block)
    parts = parts.permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, channels * block**2, height // block, width // block)


def _dropout(
    call: OperatorCall,
    x: Tensor,
    _ratio: Tensor | None = None,
    trains: Tensor | None = None,
) -> Tensor:
    if trains is not None and bool(trains):
        raise GraphError(f"{call.node}: it is in training mode; export in eval mode")
    return x


SHAPES = {
    "Cast": Operator(_cast, (1, 1), ("to", "saturate")),
    "CastLike": Operator(_cast_like, (2, 2), ("saturate",)),
    "Concat": Operator(_concat, (1, 1000), ("axis",)),
    "ConstantOfShape": Operator(_constant_of_shape, (1, 1), ("value",), values=(0,)),
    "DepthToSpace": Operator(_depth_to_space, (1, 1), ("blocksize", "mode")),
    "Dropout": Operator(_dropout, (1, 3), ("seed",), values=(1, 2)),
    "Expand": Operator(_expand, (2, 2), values=(1,)),
    "Flatten": Operator(_flatten, (1, 1), ("axis",)),
    "Gather": Operator(_gather, (2, 2), ("axis",)),
    "Pad": Operator(_pad, (2, 4), ("mode",), values=(1, 2, 3)),
    "Range": Operator(_range, (3, 3), values=(0, 1, 2)),
    "Reshape": Operator(_reshape, (2, 2), ("allowzero",), values=(1,)),
    "Shape": Operator(_shape, (1, 1), ("start", "end")),
    "Size": Operator(_size, (1, 1)),
    "Slice": Operator(_slice, (3, 5), values=(1, 2, 3, 4)),
    "SpaceToDepth": Operator(_space_to_depth, (1, 1), ("blocksize",)),
    "Split": Operator(
        _split, (1, 2), ("axis", "num_outputs"), values=(1,), n_outputs=1000
    ),
    "Squeeze": Operator(_squeeze, (1, 2), values=(1,)),
    "Tile": Operator(_tile, (2, 2), values=(1,)),
    "Transpose": Operator(_transpose, (1, 1), ("perm",)),
    "Unsqueeze": Operator(_unsqueeze, (2, 2), values=(1,)),
}
