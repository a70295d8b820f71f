"""Services of models that are known in closed form, or whose columns have names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app import linear_gaussian
from tests.app.known import Known
from tests.app.named_columns import COLUMNS
from tests.app.served import Served
from tests.tiny import save_table


@pytest.fixture(scope="module", params=[1, 2])
def known(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Known]:
    """Serve probabilistic PCA with one and with two latent dimensions."""
    path: Path = tmp_path_factory.mktemp("known") / "linear"
    model = linear_gaussian.save(path, request.param)
    with Served(path) as served:
        yield Known(served, model)


@pytest.fixture(scope="session")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a Gaussian model of a table with names."""
    path = tmp_path_factory.mktemp("named") / "table"
    with Served(save_table(path, COLUMNS)) as served:
        yield served
