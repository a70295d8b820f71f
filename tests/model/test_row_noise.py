"""The noise of a row is its own, in whatever portions and company it is read."""

import numpy as np
import pytest
import torch

from model.noise import ROW_BY_ROW, Stream, normal_rows, standard_normal, uniform_rows
from model.row_noise import RowNoise


def noise(*positions: int, seed: int = 5, part: int = 0) -> RowNoise:
    """Start the streams of these rows."""
    return RowNoise.at(
        torch.tensor(positions), seed=seed, stream=Stream.IMPORTANCE, part=part
    )


def test_a_row_reads_its_own_stream() -> None:
    """Row i has the noise of index (i, part) of the stream, to the bit."""
    drawn = noise(3, 0, part=2).normal(4, 2)

    for row, i in zip(drawn, (3, 0), strict=True):
        expected = standard_normal(
            (4, 2), seed=5, stream=Stream.IMPORTANCE, index=(i, 2)
        )
        np.testing.assert_array_equal(row.numpy(), expected)


def test_portions_and_company_do_not_matter() -> None:
    """Rows that leave or read on alone get what they would have got together."""
    whole = noise(0, 1, 2).normal(10, 3)

    rows = noise(0, 1, 2)
    first = rows.normal(4, 3)
    rest = rows.rows(torch.tensor([2])).normal(6, 3)

    torch.testing.assert_close(first, whole[:, :4], rtol=0, atol=0)
    torch.testing.assert_close(rest[0], whole[2, 4:], rtol=0, atol=0)


def test_rows_seeds_and_parts_are_independent() -> None:
    """No two of them correlate."""
    draws = torch.cat(
        [
            noise(0, 1).normal(50_000),
            noise(0, part=1).normal(50_000),
            noise(0, seed=6).normal(50_000),
        ]
    )

    correlation = torch.corrcoef(draws) - torch.eye(4)

    assert correlation.abs().max() < 5 / 50_000**0.5


def test_streams_are_read_row_by_row_or_in_row_order() -> None:
    """A stream in row order begins where row 0 would, so none is read in both ways."""
    ordered = set(Stream) - ROW_BY_ROW
    assert Stream.LATENT in ordered
    for stream in ordered:
        with pytest.raises(ValueError, match=f"{stream.name} is drawn in row order"):
            RowNoise.at(torch.tensor([0]), seed=5, stream=stream)
    for stream in ROW_BY_ROW:
        for draw in (normal_rows, uniform_rows):
            with pytest.raises(ValueError, match=f"{stream.name} is drawn row by row"):
                draw((1,), seed=5, stream=stream)


def test_uniform_noise_lies_in_the_unit_interval() -> None:
    """In [0, 1), with mean 1/2."""
    u = noise(0).uniform(10_000)

    assert 0 <= u.min() < u.max() < 1
    assert abs(u.mean() - 0.5) < 5 / (12 * 10_000) ** 0.5
