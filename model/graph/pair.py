"""The two graphs of an adopted VAE, in the form in which a checkpoint stores them."""

from typing import NamedTuple, final

from model.graph.graph import Graph, GraphError
from model.graph.limits import MAX_ROWS, output_shapes
from model.graph.onnx_reader import read
from model.graph.onnx_writer import to_onnx
from model.graph.weights import is_weight_name

# Without weights: 10,000 nodes take about 2 MiB.
MAX_GRAPH_BYTES = 8 << 20
MAX_WEIGHTS = 1 << 30

# At one row, at two, at a prime number, and at the most rows.
CHECKED_ROWS = (1, 2, 7, MAX_ROWS)


@final
class Graphs(NamedTuple):
    """The encoder, (N, D) to mu and log_var; the decoder, (N, J) to its heads."""

    encoder: Graph
    decoder: Graph


def serialize(graph: Graph) -> bytes:
    """Return the file of a graph, in which the weights are inputs."""
    content: bytes = to_onnx(graph).SerializeToString(deterministic=True)
    return content


def read_stored(content: bytes, *, n_in: int, n_out: int, n_heads: int) -> Graph:
    """
    Read a graph from a checkpoint, and check that it is one of these sizes.

    Args:
        n_in: The values of one row: D or J.
        n_out: The values of one row of each head.
        n_heads: The number of heads.

    Raises:
        GraphError: It is not, it is not served, or it takes too much.
    """
    graph = read(content)
    for weight in graph.weights:
        shape = weight.shape or ()
        if (
            not is_weight_name(weight.name)
            or weight.dtype != "float32"
            or not shape
            or not all(shape)
        ):
            raise GraphError(
                f"expected weights of float32 and fixed shape, got {weight.name[:80]!r}"
            )
    check_heads(graph, n_in=n_in, n_out=n_out, n_heads=n_heads)
    return graph


def check_heads(graph: Graph, *, n_in: int, n_out: int, n_heads: int) -> None:
    """
    Check the number and the shapes of a graph's outputs for several numbers of rows.

    Raises:
        GraphError: They are not (N, n_out), or the graph is not served.
    """
    if graph.rows.dtype != "float32":
        raise GraphError(f"expected rows of float32, got {graph.rows.dtype}")
    n_weights = 0
    for weight in graph.weights:
        size = 1
        for n in weight.shape or ():
            size *= n or 0
        n_weights += size
    if not 0 < n_weights <= MAX_WEIGHTS:
        raise GraphError(f"expected 1 to {MAX_WEIGHTS} weights, got {n_weights}")
    for n in CHECKED_ROWS:
        shapes = output_shapes(graph, (n, n_in), n)
        if shapes != [(n, n_out)] * n_heads:
            raise GraphError(
                f"expected {n_heads} outputs of shape {[n, n_out]} for {n} rows, "
                f"got {[list(shape) for shape in shapes]}"
            )
