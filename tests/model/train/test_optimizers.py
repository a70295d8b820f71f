"""Optimizers compute what torch's do, without importing its compiler."""

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.train.optimizers import LBFGS, Adagrad, AdamW


def steps(family: Callable[..., torch.optim.Optimizer]) -> Tensor:
    """Take three steps towards a minimum, the last with a state that was saved."""
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = family([parameter], lr=0.1)

    def loss() -> float:
        optimizer.zero_grad()
        value = (parameter.square() * torch.tensor([1.0, 2.0, 3.0])).sum()
        value.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return float(value.detach())

    for _ in range(2):
        optimizer.step(loss)
    saved = optimizer.state_dict()
    optimizer = family([parameter], lr=0.1)
    optimizer.load_state_dict(saved)
    optimizer.step(loss)
    return parameter.detach()


@pytest.mark.parametrize("family", [AdamW, Adagrad, LBFGS])
def test_no_step_imports_the_compiler(
    family: Callable[..., torch.optim.Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do gradients set to zero, or a state saved and loaded."""
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # an import would fail

    found = steps(family)

    assert (found.abs() < torch.tensor([1.0, 2.0, 3.0])).all()


@pytest.mark.slow("imports torch's compiler")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (AdamW, torch.optim.AdamW),
        (Adagrad, torch.optim.Adagrad),
        (LBFGS, torch.optim.LBFGS),
    ],
)
def test_steps_have_the_bits_of_torch(
    ours: Callable[..., torch.optim.Optimizer],
    theirs: Callable[..., torch.optim.Optimizer],
) -> None:
    """Three steps, the last from a state that was saved."""
    assert torch.equal(steps(ours), steps(theirs))
