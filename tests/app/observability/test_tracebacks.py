"""Tracebacks in the log: where something failed, without what the exception says."""

import asyncio
import io
import logging
from collections.abc import Iterator

import pytest

from app.observability.tracebacks import Formatter, without_messages

SECRET = "what a client sent"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Have what all loggers write as the service formats it."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


def fail() -> None:
    """Raise an exception that has a cause, and messages."""
    try:
        SECRET.encode().decode("utf-16-be").encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(SECRET) from None


def test_an_exception_in_the_log_has_no_message(log: io.StringIO) -> None:
    """A line, the frames and the class are there; the text is not."""
    try:
        fail()
    except ValueError:
        logging.getLogger("any").exception("request %s failed", 7)

    text = log.getvalue()
    assert text.startswith("ERROR any: request 7 failed\nTraceback")
    assert "in fail" in text
    assert text.rstrip().endswith("ValueError")
    assert SECRET not in text
    assert "UnicodeEncodeError" not in text  # hidden by `from None`


def test_a_failed_task_of_asyncio_has_no_message(log: io.StringIO) -> None:
    """Asyncio writes the exception into the line itself, too."""

    async def work() -> None:
        fail()

    async def forget() -> None:
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        del task

    asyncio.run(forget())

    text = log.getvalue()
    assert "asyncio: Task exception was never retrieved" in text
    assert "in fail" in text
    assert SECRET not in text


def test_a_cause_comes_before_its_effect_and_a_circle_ends() -> None:
    """As Python writes them, each once, and not for ever."""
    first, second = KeyError(SECRET), ValueError(SECRET)
    second.__cause__ = first

    assert without_messages(second).split("\n")[1::2] == ["KeyError", "ValueError"]

    first.__cause__ = second
    assert without_messages(second).count("KeyError") == 4
