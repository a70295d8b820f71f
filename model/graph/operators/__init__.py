"""
The closed list of operators, each a differentiable function of torch tensors.

They follow the ONNX operators of opset 13 to 23. Nothing here is random, branches on
values or reads anything but its inputs.
"""

from model.graph.operators.call import Operator, OperatorCall
from model.graph.operators.elementwise import ELEMENTWISE
from model.graph.operators.layers import LAYERS
from model.graph.operators.reductions import REDUCTIONS
from model.graph.operators.resize import RESIZE
from model.graph.operators.shapes import SHAPES

OPERATORS = {**ELEMENTWISE, **LAYERS, **REDUCTIONS, **RESIZE, **SHAPES}

__all__ = ["OPERATORS", "Operator", "OperatorCall"]
