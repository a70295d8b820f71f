"""Services whose models are known in closed form."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app import linear_gaussian
from tests.app.known import Known
from tests.app.served import Served


@pytest.fixture(scope="module", params=[1, 2])
def known(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Known]:
    """Serve probabilistic PCA with one and with two latent dimensions."""
    path: Path = tmp_path_factory.mktemp("known") / "linear"
    model = linear_gaussian.save(path, request.param)
    with Served(path) as served:
        yield Known(served, model)
