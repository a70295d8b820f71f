"""A seed determines the noise, to the bit and row by row."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from model.noise import (
    BLOCK_ROWS,
    MAX_SEED,
    NormalRows,
    Stream,
    UniformRows,
    generator,
    normal_rows,
    random_seed,
    standard_normal,
    uniform,
    uniform_rows,
)

N = 100_000


@pytest.mark.parametrize("draw", [standard_normal, uniform])
@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_a_row_does_not_depend_on_how_many_are_drawn(
    draw: Callable[..., np.ndarray], shape: tuple[int, ...]
) -> None:
    """The first rows of a long draw are the rows of a short one, bit for bit."""
    long = draw((1000, *shape), seed=5, stream=Stream.LATENT)

    short = draw((7, *shape), seed=5, stream=Stream.LATENT)

    np.testing.assert_array_equal(short, long[:7])


def test_drawing_in_pieces_is_drawing_at_once() -> None:
    """A generator that is asked three times goes on where it stopped."""
    whole = standard_normal((10, 3), seed=5, stream=Stream.LATENT)
    draw = generator(5, Stream.LATENT)

    pieces = [draw.standard_normal((n, 3), dtype=np.float32) for n in (1, 4, 5)]

    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize(
    ("seed", "stream", "index", "normals", "uniforms"),
    [
        (
            0,
            Stream.LATENT,
            (),
            [0.059911035001277924, 0.015559634193778038, -1.1644384860992432],
            [0.034741878509521484, 0.011546730995178223, 0.6119502186775208],
        ),
        (
            MAX_SEED,
            Stream.DATA,
            (3, 4),
            [-1.1678608655929565, -1.6688729524612427, 0.0778934583067894],
            [0.7674192786216736, 0.6391920447349548, 0.04594314098358154],
        ),
    ],
)
def test_the_numbers_are_pinned(
    seed: int,
    stream: Stream,
    index: tuple[int, ...],
    normals: list[float],
    uniforms: list[float],
) -> None:
    """Every version of NumPy and of this code draws these very numbers."""
    normal = standard_normal((3,), seed=seed, stream=stream, index=index)
    flat = uniform((3,), seed=seed, stream=stream, index=index)

    assert normal.dtype == flat.dtype == np.float32
    assert normal.tolist() == normals
    assert flat.tolist() == uniforms


@pytest.mark.parametrize("draw", [normal_rows, uniform_rows])
@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_rows_can_be_drawn_from_any_row_on(
    draw: Callable[..., np.ndarray], shape: tuple[int, ...]
) -> None:
    """A piece has the bits of the whole, within a block and across its end."""
    key: dict[str, Any] = {"seed": 5, "stream": Stream.LATENT}
    whole = draw((2 * BLOCK_ROWS + 100, *shape), **key)

    for first in (0, 1, 13, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 9, 2 * BLOCK_ROWS):
        piece = draw((60, *shape), **key, first=first)
        np.testing.assert_array_equal(piece, whole[first : first + 60])


def test_the_rows_of_a_block_are_those_of_the_stream() -> None:
    """Up to the end of the first block normals are drawn in row order; uniforms on."""
    key: dict[str, Any] = {"seed": 5, "stream": Stream.LATENT}
    shape = (BLOCK_ROWS + 10, 3)

    eps, u = normal_rows(shape, **key), uniform_rows(shape, **key)

    in_order = standard_normal(shape, **key)
    np.testing.assert_array_equal(eps[:BLOCK_ROWS], in_order[:BLOCK_ROWS])
    second = standard_normal((10, 3), **key, index=(0, 1))
    np.testing.assert_array_equal(eps[BLOCK_ROWS:], second)
    np.testing.assert_array_equal(u, uniform(shape, **key))


def test_the_farthest_row_has_noise_of_its_own() -> None:
    """Positions up to 2^53 of wide rows neither fail nor fold."""
    key: dict[str, Any] = {"seed": 5, "stream": Stream.DATA}
    shape = (2, 1 << 14)

    for draw in (normal_rows, uniform_rows):
        near, far = draw(shape, **key), draw(shape, **key, first=2**53)
        assert abs(np.corrcoef(near.ravel(), far.ravel())[0, 1]) < 5 / 2**7.5


def test_stream_numbers_are_never_renumbered() -> None:
    """The number of a stream is part of the key, so it is fixed for good."""
    assert {stream.name: stream.value for stream in Stream} == {
        "LATENT": 0,
        "DATA": 1,
        "BINARIZATION": 2,
        "INITIALIZATION": 3,
        "ORDER": 4,
        "SPLIT": 5,
        "IMPORTANCE": 6,
        "REFINEMENT": 7,
        "EVALUATION": 8,
        "MARKOV_CHAIN": 9,
        "COMPONENT": 10,
        "PRIOR": 11,
        "ANOMALY": 12,
        "IMPUTATION": 13,
        "OBSERVED": 14,
        "RECONSTRUCTION": 15,
        "MASKING": 16,
        "MISSING": 17,
    }


def test_streams_seeds_and_indices_are_independent() -> None:
    """Any two keys give noise without correlation."""
    draws = [
        standard_normal((N,), seed=seed, stream=stream, index=index)
        for seed, stream, index in [
            *((1, stream, ()) for stream in Stream),
            (0, Stream.LATENT, ()),
            (MAX_SEED, Stream.LATENT, ()),
            (1, Stream.LATENT, (0, 1)),
            (1, Stream.LATENT, (1,)),
            (1, Stream.LATENT, (1, 1)),
        ]
    ]

    correlations = [np.mean(a * b) for a, b in combinations(draws, 2)]

    # 210 pairs, each with a standard error of 1 / sqrt(N).
    assert np.abs(correlations).max() < 5 / np.sqrt(N)


def test_normal_noise_has_the_moments_of_a_standard_normal() -> None:
    """Mean 0, variance 1, skewness 0 and kurtosis 3."""
    eps = standard_normal((N,), seed=2, stream=Stream.LATENT).astype(np.float64)

    moments = [np.mean(eps**power) for power in (1, 2, 3, 4)]

    # Five standard errors: Var(eps^p) = E[eps^2p] - E[eps^p]^2.
    errors = 5 * np.sqrt(np.array([1, 2, 15, 96]) / N)
    assert (np.abs(np.array(moments) - [0, 1, 0, 3]) < errors).all()


def test_uniform_noise_is_flat_on_the_unit_interval() -> None:
    """No value is below 0 or at 1, and every tenth holds a tenth of them."""
    u = uniform((N,), seed=2, stream=Stream.DATA)

    counts = np.histogram(u, bins=10, range=(0, 1))[0]

    assert u.min() >= 0
    assert u.max() < 1
    # Five standard deviations of a binomial count.
    assert np.abs(counts - N / 10).max() < 5 * np.sqrt(N * 0.1 * 0.9)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    """A seed below 0 or above 2^63 - 1 is an error that names it."""
    with pytest.raises(ValueError, match=rf"2\^63 - 1, got {seed}$"):
        generator(seed, Stream.LATENT)


def test_the_greatest_seed_is_no_other_seed() -> None:
    """Seeds are not folded: 2^63 - 1, 2^63 - 2 and 2^32 - 1 differ, and so does 0."""
    seeds = (MAX_SEED, MAX_SEED - 1, 2**32 - 1, 0)

    draws = {uniform((), seed=seed, stream=Stream.LATENT).item() for seed in seeds}

    assert len(draws) == len(seeds)


def test_random_seeds_fit_and_differ() -> None:
    """Seeds drawn for a request lie in the range of seeds and use its high bits."""
    seeds = [random_seed() for _ in range(200)]

    assert len(set(seeds)) == 200
    assert min(seeds) >= 0
    # The chance that 200 draws all miss the upper half is 2^-200.
    assert 2**62 < max(seeds) <= MAX_SEED


@pytest.mark.parametrize("kind", [NormalRows, UniformRows])
def test_rows_drawn_one_after_another_are_those_drawn_at_once(
    kind: type[NormalRows] | type[UniformRows],
) -> None:
    """Whatever the sizes, on both sides of where the noise restarts."""
    first, sizes = BLOCK_ROWS - 30, (1, 9, 20, 0, 1, 40)
    at_once = normal_rows if kind is NormalRows else uniform_rows
    n = sum(sizes)

    rows = kind((3,), seed=5, stream=Stream.DATA, first=first)
    parts = [rows.draw(size) for size in sizes]

    want = at_once((n, 3), seed=5, stream=Stream.DATA, first=first)
    assert np.concatenate(parts).tobytes() == want.tobytes()
