"""
The optimizers of torch, without what serves its compiler.

Every method of `torch.optim` imports the compiler at its first call, which takes more
than a second and 100 MB. An optimizer here is never part of what is compiled.
"""

from inspect import unwrap
from typing import final

import torch
from torch.optim import Optimizer


class _Uncompiled(Optimizer):
    """The methods that all optimizers share."""

    add_param_group = unwrap(Optimizer.add_param_group)
    load_state_dict = unwrap(Optimizer.load_state_dict)
    state_dict = unwrap(Optimizer.state_dict)
    zero_grad = unwrap(Optimizer.zero_grad)


@final
class AdamW(_Uncompiled, torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


@final
class Adagrad(_Uncompiled, torch.optim.Adagrad):
    """Adagrad (Duchi et al. 2011), as in AEVB."""

    step = torch.no_grad()(unwrap(torch.optim.Adagrad.step))


@final
class LBFGS(_Uncompiled, torch.optim.LBFGS):
    """L-BFGS with a line search (Liu & Nocedal 1989)."""

    step = torch.no_grad()(unwrap(torch.optim.LBFGS.step))
