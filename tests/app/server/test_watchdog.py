"""An event loop that is held up is noticed, once, with the place that holds it."""

import asyncio
import logging
import threading
import time

import pytest

from app.server import watchdog

SECONDS = 60


@pytest.mark.slow("waits for a stall")
def test_a_stall_is_counted_once_with_its_place(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it lasts; the log shows the line that does not come back."""
    monkeypatch.setattr(watchdog, "STALL_SECONDS", 0.5)
    stalled = threading.Event()
    n_stalls: list[int] = []

    def note() -> None:
        n_stalls.append(1)
        stalled.set()

    async def hold_up() -> None:
        watching = watchdog.Watchdog(lambda: None, note)
        watching.start()
        await asyncio.sleep(0)
        _hold_up_until(stalled)
        watching.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(hold_up())

    assert len(n_stalls) == 1
    [record] = caplog.records
    assert "the event loop is blocked" in record.getMessage()
    assert "_hold_up_until" in record.getMessage()


def _hold_up_until(event: threading.Event) -> None:
    event.wait(SECONDS)  # the loop's own thread waits here
    time.sleep(1.0)  # for some more looks, which are to say nothing


def test_a_loop_that_turns_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beat is called in the loop again and again; no stall is seen."""
    monkeypatch.setattr(watchdog, "STALL_SECONDS", 0.1)
    beats: list[int] = []

    async def turn() -> None:
        done = asyncio.Event()

        def beat() -> None:
            beats.append(threading.get_ident())
            if len(beats) == 3:
                done.set()

        watching = watchdog.Watchdog(beat, lambda: None)
        watching.start()
        await asyncio.wait_for(done.wait(), SECONDS)
        watching.stop()

    asyncio.run(turn())

    assert set(beats) == {threading.get_ident()}
