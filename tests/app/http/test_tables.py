"""What a packed table unpacks to counts in the budget of bodies, and has a ratio."""

import asyncio
from typing import Any

import pytest

from app.errors import OverloadedError
from app.http import incoming
from app.http.body_budget import BodyBudget
from app.http.request import Request
from app.http.response_budget import ResponseBudget

MIB = 1 << 20


def read(budget: BodyBudget, body: bytes) -> Request:
    """Return a request whose body was read."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    scope = {"method": "POST", "path": "/", "query_string": b"", "headers": []}
    request = Request(scope, receive, ResponseBudget(max_bytes=MIB))
    assert asyncio.run(request.body(budget)) == body
    return request


def test_what_a_body_unpacks_to_counts_until_it_is_released() -> None:
    """Beside other bodies; alone, any is accepted; what is little is not counted."""
    budget = BodyBudget(max_bytes=MIB, max_bytes_together=MIB)
    first, second = read(budget, b"a"), read(budget, b"a")

    first.count_unpacked(MIB, budget)
    second.count_unpacked(1 << 16, budget)
    with pytest.raises(OverloadedError, match="try again"):
        second.count_unpacked(1 << 17, budget)

    first.release_body()
    second.count_unpacked(1 << 17, budget)
    second.release_body()
    budget.take(MIB, held=0)


@pytest.mark.slow("unpacks many megabytes")
def test_a_short_body_may_not_unpack_to_all_that_a_long_one_may() -> None:
    """A mebibyte is free; beyond it, so many bytes for each that was sent."""
    budget = BodyBudget(max_bytes=64 * MIB, max_bytes_together=64 * MIB)
    sizes = {1: MIB, 1 << 17: incoming.MAX_RATIO << 17, 60 * MIB: 64 * MIB}

    for size, most in sizes.items():
        assert read(budget, bytes(size)).most_unpacked(budget) == most
