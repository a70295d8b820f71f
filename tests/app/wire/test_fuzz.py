"""A short run of the fuzz of bodies; `make fuzz-bodies` is the long one."""

import pytest

from tests.app.wire.fuzz import calls, run

N = 1_000
SECONDS = 120


@pytest.mark.slow("starts processes")
def test_mutated_bodies_are_answered() -> None:
    """Every call answers each: no 5xx, nothing long, no more memory."""
    report = run(N, seed=1, seconds=SECONDS)

    assert report.faults == []
    assert report.statuses[200] > 10
    assert report.statuses[422] > 50


def test_calls_are_those_of_the_description() -> None:
    """A call that takes a body is found, with its examples; others are not."""
    content = {"application/json": {"example": {"x": [[0]]}}}
    posted = {"requestBody": {"content": content}, "tags": ["operations"]}
    described = {"paths": {"/a": {"post": posted}, "/b": {"get": {}, "post": {}}}}

    (found,) = calls(described)

    assert (found.path, found.is_analysis) == ("/a", False)
    assert found.media_types == {"application/json"}
    assert found.examples == (b'{"x": [[0]]}',)
