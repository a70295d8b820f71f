"""Batches: every row once per epoch, and nothing random but the seed."""

import pytest
import torch

from model.train.batches import Batches


def numbered(*, dynamic: bool = False, seed: int = 3) -> Batches:
    """Return ten rows of two values, each row its own number, in batches of four."""
    x = torch.arange(10.0)[:, None].repeat(1, 2)
    return Batches(x, size=4, seed=seed, dynamic=dynamic)


def epoch_of(batches: Batches, epoch: int) -> torch.Tensor:
    """Return the rows of an epoch in the order they are seen."""
    order = batches.order(epoch)
    return torch.cat([batches.rows(order, epoch, step) for step in range(3)])


def test_an_epoch_shows_every_row_once() -> None:
    """The last batch is smaller and counts as what it is."""
    batches = numbered()

    rows = epoch_of(batches, 0)

    assert batches.n_steps == 3
    assert batches.sizes.tolist() == [4, 4, 2]
    assert sorted(rows[:, 0].tolist()) == list(range(10))
    assert torch.equal(rows[:, 0], rows[:, 1])


def test_each_epoch_and_each_seed_has_its_own_order() -> None:
    """And the same seed the same one."""
    orders = {
        tuple(numbered(seed=seed).order(epoch).tolist())
        for seed in (3, 4)
        for epoch in (0, 1, 2)
    }

    assert len(orders) == 6
    assert torch.equal(numbered().order(2), numbered().order(2))


def test_dynamic_binarization_draws_afresh_at_every_use() -> None:
    """
    A gray value g is 1 in a fraction g of the epochs, drawn anew each time.

    For each of 10 rows 400 draws at g = 0.3: five standard deviations are 0.115.
    """
    batches = Batches(torch.full((10, 1), 0.3), size=4, seed=3, dynamic=True)

    draws = torch.stack([epoch_of(batches, epoch) for epoch in range(400)])

    assert set(draws.flatten().tolist()) == {0.0, 1.0}
    assert (draws.mean(dim=0) - 0.3).abs().max() < 0.115
    steps = draws[:, :4].flatten(1), draws[:, 4:8].flatten(1)
    assert not torch.equal(*steps)


def test_noise_depends_on_epoch_and_step() -> None:
    """No two steps share their eps, and none is that of an evaluation."""
    batches = numbered()

    eps = {
        batches.eps((1, 4, 2), epoch, step).numpy().tobytes()
        for epoch in range(3)
        for step in range(3)
    }

    assert len(eps) == 9
    assert batches.eps((1, 4, 2), 2, 1).shape == (1, 4, 2)


def test_some_cells_of_a_table_are_hidden() -> None:
    """In all planes of a cell; half of the rows stay whole, and a seed decides."""
    n, n_columns = 4000, 6
    batches = Batches(
        x=torch.ones(n, 5 * n_columns),
        size=n,
        seed=3,
        dynamic=False,
        n_columns=n_columns,
    )

    rows, again, later = (batches.rows(batches.order(0), e, 0) for e in (0, 0, 1))

    first, *others = rows.chunk(5, dim=1)
    assert all(torch.equal(first, other) for other in others)
    assert torch.equal(rows, again)
    assert not torch.equal(rows, later)
    whole = float((first.sum(dim=1) == n_columns).double().mean())
    assert 0.5 < whole < 0.7
    assert float(1 - first.mean()) == pytest.approx(0.5 * 0.35, abs=0.02)
