"""Networks that were trained elsewhere answer every call."""

from pathlib import Path

import numpy as np
import pytest

from tests.app.served import Served

ADOPTED = Path(__file__).parents[2] / "formats" / "version_2" / "adopted"


@pytest.fixture(scope="module")
def x() -> list[list[float]]:
    """Return two rows of data."""
    rows: list[list[float]] = np.full((2, 72), 0.3).tolist()
    return rows


@pytest.mark.slow("serves an adopted model for each call")
@pytest.mark.parametrize(
    ("call", "others", "wanted"),
    [
        ("/encode", {}, "mu"),
        ("/elbo", {"n_samples": 3}, "elbo"),
        ("/reconstruct", {}, "x"),
        ("/loglik", {}, "log_p_x"),
        ("/gap", {}, "amortization_gap"),
        ("/refine", {}, "mu"),
        ("/posterior", {}, "mean"),
    ],
)
def test_calls_are_answered(
    call: str, others: dict[str, object], wanted: str, x: list[list[float]]
) -> None:
    """With finite numbers, also where gradients are needed."""
    with Served(ADOPTED) as served:
        response = served.post(call, {"x": x, **others})

    assert response.status_code == 200, response.text
    assert np.isfinite(np.array(response.json()[wanted], float)).all()


@pytest.mark.slow("computes an analysis")
def test_values_are_imputed(x: list[list[float]]) -> None:
    """HMC goes through the graph."""
    mask = [[i % 2 for i, _ in enumerate(row)] for row in x]

    with Served(ADOPTED) as served:
        response = served.post("/impute", {"x": x, "mask": mask, "n_draws": 1})

    assert response.status_code == 200, response.text


def test_its_networks_are_described() -> None:
    """/model counts their parameters, and the backend is the fast one."""
    with Served(ADOPTED) as served:
        document = served.get("/model").json()

    assert document["compute"]["backend"] == "onnx"
    assert document["compute"]["batch_invariant"] is True
    # Statistics of batches are not counted: training does not optimize them.
    n_conv, n_norm, n_heads = 5 * 3 * 9 + 5, 2 * 5, 2 * (30 * 2 + 2)
    assert document["phi"]["n_parameters"] == n_conv + n_norm + n_heads
