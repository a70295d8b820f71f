"""
Networks that are graphs of ONNX operators, as other frameworks export them.

A graph is data: it is checked against a closed list of operators and against limits
before anything of its size is allocated, and computed by torch functions of our own or
by ONNX Runtime.
"""

from model.graph.graph import Graph, GraphError, GraphInput, Node
from model.graph.network import GraphNetwork
from model.graph.onnx_reader import read
from model.graph.onnx_writer import to_onnx
from model.graph.pair import MAX_GRAPH_BYTES, Graphs, read_stored, serialize
from model.graph.weights import separate

__all__ = [
    "MAX_GRAPH_BYTES",
    "Graph",
    "GraphError",
    "GraphInput",
    "GraphNetwork",
    "Graphs",
    "Node",
    "read",
    "read_stored",
    "separate",
    "serialize",
    "to_onnx",
]
