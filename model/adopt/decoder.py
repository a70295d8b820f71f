"""Bring a decoder into the form that is served: rows of z to the heads of p(x|z)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import final

import numpy as np

from model.adopt import meanings
from model.adopt.builder import Builder
from model.adopt.encoder import add_scaling, check_inputs, log_var_of
from model.adopt.layout import ExampleLayout
from model.adopt.options import AdoptOptions
from model.config import ArrayLikelihood
from model.graph import Graph, GraphError
from model.graph.limits import output_shapes

# What may stand between the sigmoid and the output.
_MOVES = ("Reshape", "Flatten", "Transpose", "Identity", "Squeeze", "Unsqueeze", "Cast")
_PROBE_ROWS = 7
# Of the weight that holds a constant log sigma^2.
CONSTANT_LOG_VAR = "adopted_log_var"

Shapes = Mapping[str, tuple[int, ...]]


@final
@dataclass(frozen=True, eq=False)
class AdoptedDecoder:
    """
    A decoder, (N, J) to logits, or to mean and log_var, (N, D).

    Attributes:
        meaning: What its outputs were taken for, in words.
        sigma: How a constant standard deviation is found: a number, fit, fit_per_dim;
            None if there is none.
    """

    graph: Graph
    meaning: str
    sigma: str | None


def adopt_decoder(
    graph: Graph, options: AdoptOptions, examples: ExampleLayout, latent_dim: int
) -> AdoptedDecoder:
    """
    Return the decoder that is served.

    Raises:
        ValueError: Its input or an output is not clear, or it cannot be served.
    """
    check_inputs(graph, "decoder")
    found = meanings.of_decoder(graph.outputs, options.decoder_outputs)
    words = _words(found, options.likelihood)
    graph, found = _settle_outputs(graph, found, options.likelihood)
    wanted = tuple(found.values())
    builder = Builder(graph.ending_in(wanted))
    rows = builder.name("z_rows")
    fed = _reshape_rows(builder, rows, latent_dim)
    plain = builder.finish(rows, fed, wanted)
    found_shapes = output_shapes(plain, (_PROBE_ROWS, latent_dim), _PROBE_ROWS)
    shapes = dict(zip(found, found_shapes, strict=True))
    low, high = options.input_range
    sigma = _sigma(found, options)
    if options.likelihood == "gaussian":
        mean = examples.to_rows(builder, found["mean"], shapes["mean"])
        width = high - low
        mean = add_scaling(builder.behind, mean, 1 / width, -low / width)
        heads: tuple[str, ...] = (
            mean,
            _log_var(builder, found, shapes, examples, mean, options),
        )
    else:
        heads = (examples.to_rows(builder, found["logits"], shapes["logits"]),)
    served = builder.finish(rows, fed, heads)
    return AdoptedDecoder(served, words, sigma)


def _reshape_rows(builder: Builder, rows: str, latent_dim: int) -> str:
    """Add the nodes that bring rows of z into the shape of the decoder's input."""
    shape = builder.graph.rows.shape
    if shape is None or len(shape) == 2:
        return rows
    sizes = [size or 0 for size in shape[1:]]
    if prod(sizes) != latent_dim:
        raise ValueError(
            f"the decoder's input: expected {latent_dim} values of z, got {sizes}"
        )
    return builder.before("Reshape", rows, [0, *sizes])


def _settle_outputs(
    graph: Graph, found: dict[str, str], likelihood: ArrayLikelihood
) -> tuple[Graph, dict[str, str]]:
    """
    Return the graph with outputs that fit the likelihood: logits, or mean and spread.

    Raises:
        ValueError: They do not fit it.
    """
    meaning, name = next(iter(found.items()))
    if likelihood == "gaussian":
        if meaning == "logits" or meaning == "probabilities":
            raise ValueError(
                f"the decoder's output {name[:80]!r} is {meaning}: expected mean for a "
                "gaussian likelihood"
            )
        return graph, {
            "mean" if k == "reconstruction" else k: v for k, v in found.items()
        }
    if len(found) > 1:
        raise ValueError(
            f"expected one output of the decoder for {likelihood}, got "
            f"{', '.join(found)}"
        )
    sigmoid = _last_sigmoid(graph, name)
    if meaning == "logits":
        if sigmoid is not None:
            raise GraphError(
                f"the decoder's output {name[:80]!r} is taken for logits, but ends in "
                "a sigmoid; declare it: --decoder-outputs probabilities=NAME"
            )
        return graph, found
    if sigmoid is None:
        raise GraphError(
            f"the decoder's output {name[:80]!r} does not end in a Sigmoid that could "
            "be taken off to get logits; if it is the logits, declare it: "
            f"--decoder-outputs logits={name[:80]}"
        )
    nodes = [
        replace(node, op="Identity", attributes={}) if i == sigmoid else node
        for i, node in enumerate(graph.nodes)
    ]
    return replace(graph, nodes=tuple(nodes)), {"logits": name}


def _last_sigmoid(graph: Graph, output: str) -> int | None:
    """Return the index of the sigmoid whose result is this output, if there is one."""
    places = {name: i for i, node in enumerate(graph.nodes) for name in node.outputs}
    users: dict[str, int] = {}
    for node in graph.nodes:
        for name in node.inputs:
            users[name] = users.get(name, 0) + 1
    name = output
    while name in places:
        node = graph.nodes[places[name]]
        if name != output and users.get(name, 0) != 1:
            return None
        if node.op == "Sigmoid":
            return places[name]
        if node.op not in _MOVES:
            return None
        name = node.inputs[0]
    return None


def _sigma(found: Mapping[str, str], options: AdoptOptions) -> str | None:
    """Return how the standard deviation is found if no output gives it."""
    if options.likelihood != "gaussian":
        return None
    if len(found) == 2:
        if options.sigma is not None:
            raise ValueError("--sigma: the decoder has an output for it")
        return None
    if options.sigma is None:
        raise ValueError(
            "the decoder gives a mean only: give --sigma a number (1 for the loss "
            "1/2 sum (x - y)^2 + KL, 0.70710678 without the 1/2), or fit with --data"
        )
    return options.sigma


def _log_var(
    builder: Builder,
    found: Mapping[str, str],
    shapes: Shapes,
    examples: ExampleLayout,
    mean: str,
    options: AdoptOptions,
) -> str:
    """Add the nodes of log sigma^2 in the data's units, (N, D)."""
    shift = -2 * math.log(options.input_range[1] - options.input_range[0])
    shape = builder.behind("Shape", mean)
    spreads = [meaning for meaning in found if meaning != "mean"]
    if not spreads:
        fits = options.sigma is None or options.sigma.startswith("fit")
        sigma = 1.0 if fits else float(options.sigma or 1)
        n = examples.n_values if options.sigma == "fit_per_dim" else 1
        value = np.full(n, 2 * math.log(sigma) + shift, np.float32)
        return builder.behind(
            "Expand", builder.constant(CONSTANT_LOG_VAR, value), shape
        )
    (spread,) = spreads
    log_var = log_var_of(builder, found[spread], spread)
    sizes = shapes[spread]
    if prod(sizes[1:]) == examples.n_values:
        log_var = examples.to_rows(builder, log_var, sizes)
    elif prod(sizes) == examples.n_values:  # a learned constant for each value
        log_var = builder.behind("Reshape", log_var, [1, -1])
        log_var = examples.to_rows(builder, log_var, (1, examples.n_values))
        log_var = builder.behind("Expand", log_var, shape)
    elif prod(sizes[1:]) == 1:  # one number, or one for each row
        last = [-1, 1] if prod(sizes) > 1 else [1, 1]
        log_var = builder.behind("Reshape", log_var, last)
        log_var = builder.behind("Expand", log_var, shape)
    return add_scaling(builder.behind, log_var, 1.0, shift)


def _words(found: Mapping[str, str], likelihood: ArrayLikelihood) -> str:
    shown = "mean" if likelihood == "gaussian" else "probabilities"
    words = {"reconstruction": shown, "mean": shown}
    pairs = [f"{n[:80]!r} is {words.get(m, m)}" for m, n in found.items()]
    return "decoder: " + ", ".join(pairs)
