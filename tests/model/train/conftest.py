"""What every test of training needs."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def quick_gap(few_rows_are_refined: None) -> None:
    """Make the gap of every run quick, unless a module has a fixture of this name."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Train on one thread: matrices this small only wait for a second one."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)
