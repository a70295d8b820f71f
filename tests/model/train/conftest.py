"""What every test of training needs."""

from collections.abc import Iterator

import pytest

from tests.model.train import runs


@pytest.fixture(scope="module", autouse=True)
def quick_gap(few_rows_are_refined: None) -> None:
    """Make the gap of every run quick, unless a module has a fixture of this name."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Train on one thread."""
    with runs.one_thread():
        yield
