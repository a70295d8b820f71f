"""Work in threads: it ends when its caller does, and counts until it has."""

import asyncio
from threading import Event

import pytest
from PIL import Image

from app.wire.images.decode import ImageFile
from app.wire.images.layout import image_layout
from app.wire.images.parts import StoppedError
from app.wire.negotiation import JPEG, PNG, Format
from app.wire.threads import Threads
from tests.app.pictures import decoded, saved

SECONDS = 60


def test_a_result_and_an_error_come_back() -> None:
    """Both are the function's own."""

    async def run() -> int:
        threads = Threads(1)
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda _: 1 // 0)
        return await threads.run(lambda stop: 7 + stop.is_set())

    assert asyncio.run(run()) == 7


def test_work_is_stopped_with_its_caller_and_has_room_until_it_ends() -> None:
    """A second function starts only when the cancelled one has looked at its event."""
    started, ended = Event(), Event()

    def wait(stop: Event) -> None:
        started.set()
        assert stop.wait(SECONDS)
        ended.set()
        raise StoppedError

    async def run() -> bool:
        threads = Threads(1)
        first = asyncio.ensure_future(threads.run(wait))
        await asyncio.to_thread(started.wait, SECONDS)
        second = asyncio.ensure_future(threads.run(lambda _: ended.is_set()))
        await asyncio.sleep(0)
        assert not second.done()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(run())


@pytest.mark.parametrize(("format_", "kind"), [(PNG, "PNG"), (JPEG, "JPEG")])
def test_reading_an_image_ends_when_it_is_not_wanted(
    format_: Format, kind: str
) -> None:
    """Both readers look, and so does the file that Pillow reads from."""
    file = saved(Image.new("L", (64, 64)), kind)
    layout = image_layout((4, 4), max_pixels=1 << 20)
    stop = Event()

    read = decoded([ImageFile("", format_, file)], layout, resize=True, stop=stop)
    stop.set()

    assert read.values.shape == (1, 16)
    with pytest.raises(StoppedError):
        decoded([ImageFile("", format_, file)], layout, resize=True, stop=stop)
