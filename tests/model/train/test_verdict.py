"""The verdict on a run is what its journal and figures say."""

from typing import Any

import pytest

from model.checkpoint.manifest import ColumnFit, LatentUse
from model.train.comparison import Difference
from model.train.options import RunOptions
from model.train.verdict import RunEvidence, judge

BETTER = Difference("full Gaussian", 0.5, 0.1, -10.5)


def use(*active: bool) -> LatentUse:
    """Return how the latents are used."""
    return LatentUse(
        verdict="",
        kl_per_dim=None,
        active=active,
        mutual_information=1.0,
        mutual_information_standard_error=None,
        kl_to_prior=0.0,
        kl_to_prior_standard_error=None,
        split="validation",
        n_examples=20,
        binarization="none",
        noise_seed=0,
    )


def journal(train: list[float], validation: list[float]) -> list[dict[str, Any]]:
    """Return lines with these ELBOs."""
    return [
        {"epoch": i + 1, "train": {"elbo": t}, "validation": {"elbo": v}}
        for i, (t, v) in enumerate(zip(train, validation, strict=True))
    ]


def evidence(**changes: Any) -> RunEvidence:
    """Return a good run of 20 epochs over 4 values, but for the changes."""
    rising = [-5.0 + i / 20 for i in range(10)] + [-4.5] * 10
    good: dict[str, Any] = {
        "journal": journal(rising, rising),
        "kept_epoch": 15,
        "validation_elbo": -4.5,
        "validation_error": 0.05,
        "n_values": 4,
        "n_steps": 4000,
        "n_rows": 400,
        "independent": -6.0,
        "differences": [BETTER],
        "latent_use": use(True, False),
        "options": RunOptions(epochs=20),
        "failure": None,
    }
    return RunEvidence(**{**good, **changes})


def test_a_good_run_has_no_fault_and_says_by_how_much_it_wins() -> None:
    """The comparison follows."""
    verdict = judge(evidence())

    assert verdict.is_usable
    assert verdict.lines == (
        "Good: no sign of divergence, collapse or overfitting.",
        "The ELBO is 0.50 ± 0.10 nats above log p(x) of a full Gaussian.",
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"failure": "the loss became nan"}, "Diverged: the loss became nan."),
        ({"validation_elbo": -1e30}, "Diverged: the validation ELBO of the kept "),
        ({"validation_elbo": float("nan")}, "Diverged: "),
        (
            {"journal": journal([-4.0, -1e9], [-4.0, -1e9])},
            "Diverged: the validation ELBO of the last ",
        ),
        ({"latent_use": use(False, False)}, "Collapsed: none of the 2 latent "),
    ],
)
def test_an_unusable_model_is_told_by_one_line(
    changes: dict[str, Any], word: str
) -> None:
    """Nothing else matters then."""
    verdict = judge(evidence(**changes))

    assert not verdict.is_usable
    assert len(verdict.lines) == 1
    assert verdict.lines[0].startswith(word)


UP = [-5.0 + 0.1 * i for i in range(20)]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"journal": journal(UP, [-4.5] * 20)}, "Overfit: the ELBO is 0.90 nats lower"),
        (
            {
                "journal": journal([-4.5] * 5 + UP[6:], [-4.5] * 5 + [-6.0] * 14),
                "kept_epoch": 5,
            },
            "Overfit: after epoch 5 validation fell by 1.50 nats while training rose",
        ),
        ({"n_steps": 40}, "Too few steps: 40 were taken; go on with --resume"),
        ({"n_rows": 3}, "Few rows: 3 to train on, so that neither the model nor "),
        (
            {"journal": journal(UP, UP), "kept_epoch": 20, "validation_elbo": -3.1},
            "Too few steps: validation rose by 0.40 nats in the last 4 epochs",
        ),
        (
            {"differences": [BETTER, Difference("factor analysis", -0.5, 0.1, -9.5)]},
            "Worse than factor analysis: ",
        ),
    ],
)
def test_a_warning_names_the_fault_and_a_remedy(
    changes: dict[str, Any], word: str
) -> None:
    """Such a model can still be served."""
    verdict = judge(evidence(**changes))

    assert verdict.is_usable
    assert verdict.lines[0].startswith(word)
    assert verdict.lines[1].startswith("The ELBO is ")


@pytest.mark.parametrize(
    "changes",
    [
        {"kept_epoch": 0},  # the weights of the start
        {"journal": []},  # the file was deleted
        {
            "options": RunOptions(epochs=50),  # patience ended it
            "journal": journal(UP, UP),
            "validation_elbo": -3.6,
        },
        {"differences": [Difference("a", -0.1, 0.1, -9.9)]},  # within its error
        {"validation_elbo": -399.0, "kept_epoch": 0},  # bad, but learning
    ],
)
def test_what_is_no_fault_is_not_reported(changes: dict[str, Any]) -> None:
    """No warning without a reason."""
    assert judge(evidence(**changes)).lines[0].startswith("Good: ")


def test_columns_at_their_marginal_are_named() -> None:
    """Those of a table that z says next to nothing about."""
    fits = tuple(
        ColumnFit(name=name, marginal=-2.0, model=-2.0 + gain, n_known=20)
        for name, gain in (("age", 0.5), ("year", 0.001), ("sex", -0.1))
    )

    lines = judge(evidence(columns=fits)).lines

    assert any("At their marginal: year, sex." in line for line in lines)
    assert not any("At their" in line for line in judge(evidence()).lines)


def test_a_table_is_overfit_by_whole_training_rows() -> None:
    """The journal has the ELBO of rows with hidden cells, which is higher."""
    run = {
        "journal": journal([-1.0] * 3, [-9.0] * 3),
        "kept_epoch": 2,
        "validation_elbo": -9.0,
    }

    partial = judge(evidence(**run, train_elbo=-9.0))
    whole = judge(evidence(**run, train_elbo=-2.0))

    assert not any(line.startswith("Overfit") for line in partial.lines)
    assert any(line.startswith("Overfit") for line in whole.lines)


@pytest.mark.parametrize(("patience", "is_usable"), [(0, True), (15, True), (5, False)])
def test_a_short_run_that_patience_ended_has_collapsed(
    patience: int, *, is_usable: bool
) -> None:
    """Without patience it may just need more steps; the best epoch is the tenth."""
    level = [-6.0] * 9 + [-5.0] + [-6.0] * 10
    run = evidence(
        n_steps=40,
        journal=journal(level, level),
        latent_use=use(False, False),
        options=RunOptions(epochs=40, patience=patience),
    )

    assert judge(run).is_usable == is_usable
