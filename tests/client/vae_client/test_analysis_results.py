"""Results of analyses name the columns that they are about."""

import numpy as np

from vae_client import AnomalyResult


def anomalies(columns: tuple[str, ...] | None) -> AnomalyResult:
    """Return a result of two rows of three columns."""
    one = np.array([0.5, 0.5])
    return AnomalyResult(
        seed=1,
        binarize=None,
        units="nats",
        negative_elbo=one,
        negative_elbo_standard_error=None,
        p_value_upper=one,
        p_value_lower=one,
        p_value_two_sided=one,
        surprise_per_dim=np.zeros((2, 3)),
        columns=columns,
        n_samples=1,
        n_calibration=1,
        split="validation",
        binarization="none",
        ratio=one,
        ratio_p_value=None,
        tail_p_value=None,
        p_value_either=None,
        tail_p_value_per_column=np.ones((2, 3)),
        why_null="trained before",
        blame=np.array([[0.1, 2.0, -1.0], [1.0, np.nan, 3.0]]),
        blame_standard_error=np.zeros((2, 3)),
        blame_order=np.array([[1, 0, 2], [2, 0, 1]]),
    )


def test_columns_are_blamed_by_name() -> None:
    """In their order, without those whose cells are missing."""
    assert anomalies(("a", "b", "c")).blamed == [["b", "a", "c"], ["c", "a"]]


def test_columns_without_names_are_not_blamed_by_name() -> None:
    """`blame_order` has their positions."""
    assert anomalies(None).blamed is None
