"""Normal noise of requests: the numbers of `normal_rows`, in turns."""

import asyncio

import pytest

from app.compute.noise import NormalNoise
from model.noise import BLOCK_ROWS, Stream, normal_rows

_LAST = BLOCK_ROWS - 1  # all rows of a block are before it


@pytest.mark.parametrize("first", [0, 1, 1000, _LAST, BLOCK_ROWS])
def test_noise_is_that_of_normal_rows(first: int) -> None:
    """Discarding the numbers before the first row in steps leaves the same ones."""
    shape = (3, 100)

    found = asyncio.run(
        NormalNoise().draw(shape, seed=5, stream=Stream.DATA, first=first)
    )

    wanted = normal_rows(shape, seed=5, stream=Stream.DATA, first=first)
    assert found.tobytes() == wanted.tobytes()


def test_requests_that_discard_many_numbers_leave_turns_to_others() -> None:
    """A request that discards few begins while those that discard many go on."""

    async def ask() -> None:
        noise = NormalNoise()
        many = [
            asyncio.ensure_future(
                noise.begin((4096,), seed=i, stream=Stream.LATENT, first=_LAST)
            )
            for i in range(4)
        ]
        await asyncio.sleep(0)
        await noise.begin((16,), seed=9, stream=Stream.LATENT, first=_LAST)

        assert not any(task.done() for task in many)
        for task in many:
            task.cancel()

    asyncio.run(ask())
