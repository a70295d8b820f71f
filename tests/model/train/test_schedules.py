"""Schedules at points where their values are known."""

import pytest

from model.train import schedules
from model.train.options import RunOptions


@pytest.mark.parametrize(
    ("schedule", "start", "quarter", "half", "end"),
    [
        ("constant", 2.0, 2.0, 2.0, 2.0),
        ("linear", 2.0, 1.5, 1.0, 0.0),
        ("cosine", 2.0, 1 + 0.5**0.5, 1.0, 0.0),
    ],
)
def test_the_learning_rate_falls_as_its_name_says(
    schedule: str, start: float, quarter: float, half: float, end: float
) -> None:
    """Values at the start, a quarter, the middle and the end of a run."""
    options = RunOptions(learning_rate=2.0, schedule=schedule)  # type: ignore[arg-type]  # from a list

    rates = [schedules.learning_rate(options, done) for done in (0, 0.25, 0.5, 1)]

    assert rates == pytest.approx([start, quarter, half, end])


def test_the_weight_of_the_kl_rises_linearly_to_one() -> None:
    """0 at the start, 1 from the end of the warm-up on, half in its middle."""
    options = RunOptions(kl_warmup_epochs=4)

    weights = [schedules.kl_weight(options, done) for done in (0, 1, 2, 4, 5, 100)]

    assert weights == [0, 0.25, 0.5, 1, 1, 1]


def test_without_a_warm_up_the_kl_weighs_one_from_the_first_step() -> None:
    """The loss is then the negative ELBO, always."""
    assert schedules.kl_weight(RunOptions(kl_warmup_epochs=0), 0) == 1


def test_the_average_forgets_its_start() -> None:
    """The decay is 2/11 after one step and reaches what was asked for."""
    assert schedules.average_decay(0.999, 1) == pytest.approx(2 / 11)
    assert schedules.average_decay(0.999, 10**6) == 0.999
