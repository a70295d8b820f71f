"""Points and weights for the moments of a number, a function of a normal score."""

import torch
from torch import Tensor

_N_NODES = 64
# Nodes are quantiles, at the middles of equal shares, of a normal this much wider than
# that of the score. Quantiles of the score itself miss what is far out: variances were
# 4 percent too small in a normal column, and 18 in one with heavy tails.
_WIDER = 2.0


def normal_nodes() -> tuple[Tensor, Tensor]:
    """
    Return nodes t and weights w, (64, 1) each: E[f(t)] = sum_i w_i f(t_i), t ~ N(0, 1).

    The weights are the quotients of the densities of N(0, 1) and N(0, 2^2), scaled to
    the sum 1. f may have jumps; the largest weight is 3 percent.
    """
    share = (torch.arange(_N_NODES, dtype=torch.float64)[:, None] + 0.5) / _N_NODES
    nodes = _WIDER * torch.special.ndtri(share)
    return nodes, torch.softmax(-0.5 * (1 - _WIDER**-2) * nodes.square(), dim=0)
