"""Data frames through both clients: the same results as arrays in the model's order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.app.live import serving
from tests.client.conftest import Ask
from tests.client.faulty import FaultyProxy, of_model
from tests.client.vae_client.test_frames import Frame
from tests.tiny import save_table
from vae_client import ModelChangedError

COLUMNS = ("a", "b", "c")
X = np.array([[1.5, -2.0, 0.25], [0.5, 4.0, -1.0]])
MASK = np.array([[1, 0, 1], [0, 1, 1]])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a model of a table with names."""
    path = save_table(tmp_path_factory.mktemp("table") / "table", COLUMNS)
    with serving(path) as address:
        yield address


def turned(values: Any) -> Frame:
    """Return rows as a frame with its columns in another order."""
    return Frame(**{COLUMNS[d]: values[:, d] for d in (2, 0, 1)})


@pytest.mark.slow("starts a service")
@pytest.mark.parametrize(
    ("verb", "arguments", "options", "names"),
    [
        ("encode", (), {}, ["mu", "log_var"]),
        ("reconstruct", (), {}, ["x"]),
        ("elbo", (), {"seed": 1}, ["elbo"]),
        ("loglik", (), {"seed": 1, "n_samples": 8}, ["log_p_x_pooled"]),
        ("posterior", (), {}, ["log_p_x", "mean"]),
        ("anomaly", (), {"seed": 1}, ["negative_elbo", "surprise_per_dim"]),
        ("impute", (MASK,), {"seed": 1}, ["mean", "samples"]),
        ("interpolate", None, {"n": 3}, ["mean"]),
    ],
)
def test_a_frame_has_the_results_of_an_array(
    table: str,
    ask: Ask,
    verb: str,
    arguments: tuple[Any, ...] | None,
    options: dict[str, Any],
    names: list[str],
) -> None:
    """Bit for bit, in every call that takes x."""
    if arguments is None:
        found = ask(table, verb, x=turned(X), **options)
        wanted = ask(table, verb, x=X, **options)
    else:
        found = ask(table, verb, turned(X), *map(turned, arguments), **options)
        wanted = ask(table, verb, X, *arguments, **options)

    for name in names:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.slow("starts a service")
@pytest.mark.parametrize(
    ("verb", "arguments", "options"),
    [
        ("encode", (turned(X),), {}),
        ("elbo", (turned(X),), {"seed": 1}),
        ("reconstruct", (turned(X),), {}),
        ("posterior", (turned(X),), {}),
        ("gap", (turned(X),), {"seed": 1}),
        ("impute", (X, turned(MASK)), {"seed": 1}),
        ("interpolate", (), {"x": turned(X)}),
    ],
)
def test_columns_of_one_model_are_not_read_by_another(
    table: str, ask: Ask, verb: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Its columns may have another order, and its categories other codes."""
    with FaultyProxy(table) as proxy:
        proxy.actions.append(of_model("0123456789ab"))

        with pytest.raises(ModelChangedError, match="got 0123456789ab too"):
            ask(proxy.url, verb, *arguments, **options)


@pytest.mark.slow("starts a service")
def test_results_have_the_names(table: str, ask: Ask) -> None:
    """Of the model, and of the surprise."""
    assert ask(table, "model").columns == COLUMNS
    assert ask(table, "anomaly", X, seed=1).columns == COLUMNS


@pytest.mark.slow("starts a service")
def test_a_frame_for_a_model_without_names_is_refused(address: str, ask: Ask) -> None:
    """Nothing is sent: the order of its columns is unknown."""
    with pytest.raises(ValueError, match="the model has none"):
        ask(address, "encode", turned(X))
