"""The page on a model of a table of mixed kinds."""

from collections.abc import Callable

import pytest

from tests.app.explorer.explored import Opened

pytestmark = pytest.mark.slow("shows pages in a browser")


def test_the_likelihood_of_cells_is_no_density(opened: Callable[..., Opened]) -> None:
    """It is a log probability of the known cells, and at most 0."""
    page, _, complaints, _ = opened("cells")
    term = page.locator("#terms .likelihood")

    told = term.locator("p").inner_text()
    value = term.locator(".dd").inner_text()

    assert "probability of the cells that are known" in told
    assert "density" not in told
    assert float(value.replace("\N{MINUS SIGN}", "-")) < 0
    assert complaints == []
