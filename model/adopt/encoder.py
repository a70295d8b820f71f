"""Bring an encoder into the form that is served: rows of x to mu and log_var."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import final

import numpy as np
from numpy.typing import NDArray

from model.adopt import draws, meanings
from model.adopt.builder import Builder
from model.adopt.layout import ExampleLayout, examples_of
from model.adopt.options import AdoptOptions
from model.graph import Graph, GraphError
from model.graph.limits import output_shapes

# Their results are never negative, so they are no logarithms.
_POSITIVE = ("Exp", "Softplus", "Sigmoid", "Relu", "Abs")
_PROBE_ROWS = 2

AddNode = Callable[..., str]


@final
@dataclass(frozen=True, eq=False)
class AdoptedEncoder:
    """
    An encoder, (N, D) to mu and log_var, (N, J).

    Attributes:
        meaning: What its outputs were taken for, in words.
    """

    graph: Graph
    examples: ExampleLayout
    latent_dim: int
    meaning: str


def adopt_encoder(graph: Graph, options: AdoptOptions) -> AdoptedEncoder:
    """
    Return the encoder that is served.

    Raises:
        ValueError: Its input or an output is not clear, or it cannot be served.
    """
    check_inputs(graph, "encoder")
    examples = examples_of(
        graph.rows.shape, data_shape=options.data_shape, layout=options.layout
    )
    found = meanings.of_encoder(graph.outputs, options.encoder_outputs)
    draws.check(graph, found, examples)
    wanted = tuple(found.values())
    builder = Builder(graph.ending_in(wanted))
    rows = builder.name("x_rows")
    fed = examples.to_network(builder, rows)
    low, high = options.input_range
    if (low, high) != (0.0, 1.0):
        fed = add_scaling(builder.before, fed, high - low, low)
    plain = builder.finish(rows, fed, wanted)
    shapes = output_shapes(plain, (_PROBE_ROWS, examples.n_values), _PROBE_ROWS)
    by_meaning = dict(zip(found, shapes, strict=True))
    heads = _heads(builder, found, by_meaning)
    latent_dim = _latent_dim(found, by_meaning)
    served = builder.finish(rows, fed, heads)
    return AdoptedEncoder(served, examples, latent_dim, _words(found))


def check_inputs(graph: Graph, network: str) -> None:
    """
    Check that a network has one input, of float32.

    Raises:
        GraphError: It has not.
    """
    if len(graph.inputs) != 1:
        names = ", ".join(repr(info.name[:80]) for info in graph.inputs[:8])
        raise GraphError(f"the {network} must have one input, got {names}")
    if graph.rows.dtype != "float32":
        raise GraphError(
            f"the {network}'s input must be float32, got {graph.rows.dtype}"
        )


def _heads(
    builder: Builder, found: dict[str, str], shapes: dict[str, tuple[int, ...]]
) -> tuple[str, str]:
    """Add the nodes from the outputs to mu and log_var."""
    rows = {
        meaning: name
        if len(shapes[meaning]) == 2
        else builder.behind("Flatten", name, axis=1)
        for meaning, name in found.items()
    }
    if "mu" in rows:
        (spread,) = rows.keys() - {"mu"}
        return rows["mu"], log_var_of(builder, rows[spread], spread)
    ((packed, name),) = rows.items()
    half = _latent_dim(found, shapes)
    first = builder.behind("Slice", name, [0], [half], [1])
    second = builder.behind("Slice", name, [half], [2 * half], [1])
    return first, log_var_of(builder, second, packed.removeprefix("mu_"))


def log_var_of(builder: Builder, name: str, spread: str) -> str:
    """
    Add the nodes from log_var, log_sigma or sigma to log_var.

    Raises:
        GraphError: The output is never negative, so it is no logarithm.
    """
    producer = builder.graph.producers().get(name)
    op = None if producer is None else producer.op
    if spread == "sigma":
        # The logarithm of an exponential is its argument, also where it underflows.
        is_exp = producer is not None and op == "Exp"
        log_sigma = (
            producer.inputs[0]
            if is_exp and producer is not None
            else builder.behind("Log", name)
        )
        return builder.behind("Mul", log_sigma, _number(2.0))
    if op in _POSITIVE:
        raise GraphError(
            f"{producer}: the output {name[:80]!r} is taken for {spread}, but is never "
            "negative; declare it as sigma if it is a standard deviation"
        )
    if spread == "log_sigma":
        return builder.behind("Mul", name, _number(2.0))
    return name


def add_scaling(add: AddNode, x: str, factor: float, shift: float) -> str:
    """Add the nodes of x * factor + shift."""
    if factor != 1:
        x = add("Mul", x, _number(factor))
    return add("Add", x, _number(shift)) if shift != 0 else x


def _number(value: float) -> NDArray[np.float32]:
    return np.array(value, np.float32)


def _latent_dim(found: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> int:
    sizes = {meaning: prod(shape[1:]) for meaning, shape in shapes.items()}
    if "mu" in sizes:
        if len(set(sizes.values())) != 1:
            raise ValueError(
                f"the encoder's outputs have different numbers of values: {sizes}"
            )
        return sizes["mu"]
    (size,) = sizes.values()
    if size % 2:
        raise ValueError(
            f"the encoder's output {next(iter(found.values()))[:80]!r}: expected 2J "
            f"values, got {size}"
        )
    return size // 2


def _words(found: dict[str, str]) -> str:
    pairs = [f"{name[:80]!r} is {meaning}" for meaning, name in found.items()]
    return "encoder: " + ", ".join(pairs)
