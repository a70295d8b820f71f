"""A caller that writes a line never waits for a reader, and lost lines are counted."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.observability import output as output_module
from app.observability.output import MAX_QUEUED, Output

LINE = b"x" * 1023 + b"\n"
MORE_THAN_FITS = 2 * MAX_QUEUED  # and more than a pipe holds


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for queued lines as long as a busy machine needs."""
    monkeypatch.setattr(output_module, "FLUSH_SECONDS", 60)


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
    output.flush()

    assert os.read(reading, 100) == b"one\ntwo\nthree\n"


def read_lines(reading: int, n: int) -> list[bytes]:
    """Return the next n lines of a pipe."""
    text = b""
    while text.count(b"\n") < n:
        text += os.read(reading, 1 << 16)
    return text.splitlines()


def test_no_caller_waits_for_a_reader(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Writing returns although the pipe is full, and so does flushing, after a while.

    Lines that do not fit are counted. Once the pipe is read again, a last line says how
    many were dropped.
    """
    monkeypatch.setattr(output_module, "FLUSH_SECONDS", 0.01)
    reading, writing = pipe
    output = Output(writing)
    dropped: list[int] = []
    output.on_drop = dropped.append

    for _ in range(MORE_THAN_FITS):
        output.write(LINE, n_lines=3)
    output.flush()
    n_writes = MORE_THAN_FITS - len(dropped)
    *lines, last = read_lines(reading, n_writes + 1)

    assert set(dropped) == {3}
    assert (
        MAX_QUEUED <= n_writes <= MAX_QUEUED + 65
    )  # a pipe holds 64 KiB, and one more
    assert lines == [LINE[:-1]] * n_writes
    assert last.decode().endswith(f"{sum(dropped)} lines were dropped here")


def test_an_output_that_is_gone_counts_what_is_lost() -> None:
    """Nothing fails where the descriptor is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    output = Output(writing)
    dropped: list[int] = []
    output.on_drop = dropped.append

    output.write(b"a\nb\n", n_lines=2)
    output.flush()
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
    output.flush()

    lines = os.read(reading, 1 << 16).decode().splitlines()
    assert sorted(lines) == sorted(f"{n}" * 50 for n in range(5) for _ in range(20))


def test_what_fits_is_written_at_once_and_in_order(pipe: tuple[int, int]) -> None:
    """A pipe with room needs no thread; lines after a full pipe wait for their turn."""
    reading, writing = pipe
    output = Output(writing)
    lines = [b"%07d\n" % i * 128 for i in range(100)]  # 1 KiB each; a pipe holds 64

    output.write(lines[0])
    assert os.read(reading, 1 << 16) == lines[0]

    for line in lines[1:]:
        output.write(line)
    text = b""
    while len(text) < 99 << 10:
        text += os.read(reading, 1 << 16)
    output.flush()
    output.write(b"last\n")
    output.flush()

    assert text == b"".join(lines[1:])
    assert os.read(reading, 1 << 16) == b"last\n"


def test_a_file_is_written_by_the_thread(tmp_path: Path) -> None:
    """A file system may not know writes that take no waiting."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        output = Output(file.fileno())
        for _ in range(3):
            output.write(LINE)
        output.flush()

    assert path.read_bytes() == 3 * LINE
