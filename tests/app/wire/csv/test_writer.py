"""Responses as CSV are read by other programs with every bit."""

import csv
import io
from typing import Any

import numpy as np
import pytest

from app.wire.csv.writer import CsvText
from app.wire.reply import Reply, TableColumns

NAMES = ("height", 'a "b", c', "größe")
RNG = np.random.default_rng(0)


def lines(reply: Reply) -> list[list[str]]:
    """Return the cells of a reply as Python's own module reads them."""
    text = b"".join(CsvText(reply)).decode()
    assert text.endswith("\r\n")
    return [*csv.reader(io.StringIO(text, newline=""), strict=True)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 30_000])
def test_rows_of_data_are_a_table_of_their_own(dtype: Any, n: int) -> None:
    """Without the latents, under the names of their columns, with every bit."""
    x = (RNG.normal(size=(n, 3)) * 1e-3).astype(dtype)
    reply = Reply({"x": x, "z": x}, {"seed": 3}, columns={"x": TableColumns(NAMES)})

    header, *rows = lines(reply)

    assert header == list(NAMES)
    assert np.array_equal(np.array(rows, dtype), x)
    assert CsvText(reply).is_long == (n > 10_000)
    assert CsvText(reply).nbytes > x.nbytes


def test_draws_of_a_row_are_rows() -> None:
    """One after the other."""
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)

    _, *rows = lines(Reply({"x": x}, columns={"x": TableColumns(NAMES)}))

    assert np.array_equal(np.array(rows, np.float32), x.reshape(4, 3))


@pytest.mark.parametrize("n", [1, 5_000])
def test_other_arrays_stand_side_by_side(n: int) -> None:
    """A value per row under the array's name, several with their places or names."""
    tensors = {
        "elbo": RNG.normal(size=n).astype(np.float32),
        "is_reliable": RNG.random(n) > 0.5,
        "n_steps": np.arange(n),
        "mu": RNG.normal(size=(n, 2)),
        "mean": RNG.normal(size=(n, 3)),
        "samples": RNG.normal(size=(n, 2, 3)),
    }
    reply = Reply(
        tensors, columns={"mean": TableColumns(NAMES), "samples": TableColumns(NAMES)}
    )

    header, *rows = lines(reply)

    assert header == [
        *("elbo", "is_reliable", "n_steps", "mu.0", "mu.1"),
        *(f"mean.{name}" for name in NAMES),
        *(f"samples.{i}.{name}" for i in range(2) for name in NAMES),
    ]
    cells = np.array(rows)
    assert np.array_equal(cells[:, 0].astype(np.float32), tensors["elbo"])
    assert cells[:, 1].tolist() == [str(b).lower() for b in tensors["is_reliable"]]
    assert np.array_equal(cells[:, 2].astype(int), np.arange(n))
    samples = cells[:, 8:].astype(float).reshape(n, 2, 3)
    assert np.array_equal(samples, tensors["samples"])


def test_a_value_that_could_not_be_measured_is_an_empty_cell() -> None:
    """As it is null in JSON."""
    reply = Reply({"r_hat": np.array([1.0, np.nan]), "n": np.array([1, 2])})

    assert lines(reply)[1:] == [["1.0", "1"], ["", "2"]]


def test_a_reply_can_be_written_twice() -> None:
    """HTTP/1.0 needs its length first."""
    table = CsvText(Reply({"mu": RNG.normal(size=(20_000, 2))}))

    assert len(list(table)) > 2
    assert b"".join(table) == b"".join(table)
