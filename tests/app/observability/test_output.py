"""Lines for a descriptor that nobody reads hold up nobody, and are counted."""

import os
import threading
from collections.abc import Iterator

import pytest

from app.observability.output import MAX_QUEUED, Output

SECONDS = 60
LINE = b"x" * 1023 + b"\n"
MORE_THAN_FITS = 2 * MAX_QUEUED  # and more than a pipe holds


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Have a pipe."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_whole_lines_come_in_order(pipe: tuple[int, int]) -> None:
    """What is queued is written as it is, one after another."""
    reading, writing = pipe
    output = Output(writing)

    output.write(b"one\n")
    output.write_lines("two", "three")
    output.flush(SECONDS)

    assert os.read(reading, 100) == b"one\ntwo\nthree\n"


def test_nobody_waits_for_a_reader(pipe: tuple[int, int]) -> None:
    """Writing returns although the pipe is full; what has no room is counted."""
    _, writing = pipe
    output = Output(writing)
    dropped: list[int] = []
    output.on_drop = dropped.append

    for _ in range(MORE_THAN_FITS):
        output.write(LINE, n_lines=3)
    output.flush(0.01)

    assert sum(dropped) >= 3 * (MORE_THAN_FITS - MAX_QUEUED - 65)  # 64 KiB and one
    assert sum(dropped) < 3 * MORE_THAN_FITS


def test_a_reader_that_comes_late_learns_what_is_missing(
    pipe: tuple[int, int],
) -> None:
    """Once the pipe is read again a line says how many lines were dropped."""
    reading, writing = pipe
    output = Output(writing)
    dropped: list[int] = []
    output.on_drop = dropped.append
    for _ in range(MORE_THAN_FITS):
        output.write(LINE)
    kept, text = MORE_THAN_FITS - sum(dropped), b""

    while text.count(b"\n") < kept + 1:
        text += os.read(reading, 1 << 16)

    *lines, last = text.splitlines()
    assert set(lines) == {LINE[:-1]}
    assert len(lines) == kept
    assert last.decode().endswith(f"{sum(dropped)} lines were dropped here")


def test_an_output_that_is_gone_counts_what_is_lost() -> None:
    """Nothing fails where the descriptor is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    output = Output(writing)
    dropped: list[int] = []
    output.on_drop = dropped.append

    output.write(b"a\nb\n", n_lines=2)
    output.flush(SECONDS)
    os.close(writing)

    assert dropped[0] == 2


def test_any_thread_may_write(pipe: tuple[int, int]) -> None:
    """Lines of several threads are all there, each whole."""
    reading, writing = pipe
    output = Output(writing)

    def write(number: int) -> None:
        for _ in range(20):
            output.write_lines(f"{number}" * 50)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    output.flush(SECONDS)

    lines = os.read(reading, 1 << 16).decode().splitlines()
    assert sorted(lines) == sorted(f"{n}" * 50 for n in range(5) for _ in range(20))
