"""Part `anomaly`: how well scores separate other data from MNIST."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from benchmarks.quality.statistics import auroc, mean
from benchmarks.quality.study import Study, binarized, chunks
from benchmarks.results import table
from model import data
from model.checkpoint.held_out import evenly
from model.data import DataError
from model.inference import analyses
from model.inference.columns import Gaps, concatenate
from model.noise import Stream, generator
from model.vae import VAE

_N_ROWS = 500  # of each set
_ROWS = 16  # at once
_SEED = 0  # of all noise
_TARGET, _BUDGET = 0.1, 1024
_SIDE = 28

Gray = NDArray[np.float32]


class _Scores(NamedTuple):
    """Higher is more unusual, in nats, (N,) each."""

    negative_log_p_x: NDArray[np.float64]
    negative_elbo: NDArray[np.float64]
    regret: NDArray[np.float64]
    is_reliable: NDArray[np.bool_]


def anomaly(study: Study) -> str:
    """Report the AUROC of each score for each kind of other data."""
    vae = study.model("aevb20").vae
    gray = study.mnist.test.x[evenly(len(study.test), study.n or _N_ROWS)]
    inside = _scores(vae, gray, "MNIST")
    rows = []
    for name, outside in _outsiders(study, gray):
        scores = _scores(vae, outside, name)
        rows.append(
            [
                name,
                str(len(outside)),
                *(
                    auroc(of_inside, of_outside).shown(3)
                    for of_inside, of_outside in zip(
                        inside[:3], scores[:3], strict=True
                    )
                ),
                f"{mean(scores.negative_log_p_x).value:.0f}",
                f"{mean(scores.regret).value:.1f}",
                f"{scores.is_reliable.mean():.0%}",
            ]
        )
    return (
        f"AUROC ± standard error (DeLong et al. 1988) against {len(gray)} test rows of "
        "MNIST at even distances, whose mean -log p(x) is "
        f"{mean(inside.negative_log_p_x).value:.0f} and mean gap "
        f"{mean(inside.regret).value:.1f} nats. All are binarized alike, once, "
        "x ~ Bernoulli(gray), with one seed. 784-500, J = 20, training seed "
        f"{study.seeds[0]}. Scores: -log p(x) by importance weighting from the refined "
        f"q ({_BUDGET:,} draws at most), -ELBO of the encoder, the amortization gap "
        "(likelihood regret, Xiao et al. 2020, over the local parameters). Below 0.5 a "
        "score takes the outsiders for more usual than MNIST's own test rows."
        f"{_absent(study)}\n\n"
        + table(
            [
                *("what does not belong", "rows", "-log p(x)", "-ELBO"),
                *("amortization gap", "its mean -log p(x)", "mean gap"),
                "log p(x) reliable",
            ],
            rows,
        )
    )


def _scores(vae: VAE, gray: Gray, title: str) -> _Scores:
    x = binarized(gray)
    found: Gaps = concatenate(
        [
            analyses.gaps(
                vae, x[r], target=_TARGET, budget=_BUDGET, seed=_SEED, first=r.start
            )
            for r in chunks(len(x), _ROWS, title)
        ]
    )
    assert found.is_reliable is not None  # only a bound has none
    return _Scores(
        -found.log_p_x, -found.elbo_before, found.amortization_gap, found.is_reliable
    )


def _outsiders(study: Study, gray: Gray) -> Iterator[tuple[str, Gray]]:
    """Yield sets of gray rows, (n, 784), with their names."""
    n = len(gray)
    fashion = _fashion(study)
    if fashion is not None:
        yield "Fashion-MNIST, test", fashion[evenly(len(fashion), n)]
    yield "photographs, pieces of 28x28 (scikit-learn)", _photographs(n)
    digits = _digits()
    yield (
        "digits of 8x8, bicubic to 28x28 (scikit-learn)",
        digits[evenly(len(digits), n)],
    )
    for name, changed in _CHANGES.items():
        yield f"MNIST, {name}", changed(gray)


def _rotated(gray: Gray) -> Gray:
    images = gray.reshape(-1, _SIDE, _SIDE)
    return np.ascontiguousarray(np.rot90(images, axes=(1, 2))).reshape(gray.shape)


def _shuffled(gray: Gray) -> Gray:
    order = generator(_SEED, Stream.ORDER).permutation(gray.shape[1])
    return gray[:, order]


def _lower_half_blank(gray: Gray) -> Gray:
    rows = np.arange(gray.shape[1]) < gray.shape[1] // 2
    return np.where(rows, gray, np.float32(0))


_CHANGES: Mapping[str, Callable[[Gray], Gray]] = {
    "rotated by 90 degrees": _rotated,
    "inverted": lambda gray: 1 - gray,
    "pixels in another order": _shuffled,
    "lower half blank": _lower_half_blank,
}


def _fashion(study: Study) -> Gray | None:
    """Return Fashion-MNIST's test images, or nothing where it is not to be had."""
    try:
        return data.load("fashion-mnist", data_dir=study.fashion_dir).test.x
    except DataError:
        if study.fashion_dir is not None:
            raise
        return None


def _absent(study: Study) -> str:
    if _fashion(study) is not None:
        return ""
    return " Fashion-MNIST could not be downloaded here; `--fashion-dir` takes it."


def _photographs(n: int) -> Gray:
    """Cut n pieces at random places from the gray photographs of scikit-learn."""
    images = [
        _unit(np.asarray(Image.fromarray(image).convert("L")))
        for image in load_sample_images().images
    ]
    draw = generator(_SEED, Stream.DATA)
    pieces = []
    for i in range(n):
        image = images[i % len(images)]
        top, left = (int(draw.integers(side - _SIDE + 1)) for side in image.shape)
        pieces.append(image[top : top + _SIDE, left : left + _SIDE].ravel())
    return np.stack(pieces)


def _digits() -> Gray:
    """Return scikit-learn's digits at the size of MNIST's, (1797, 784)."""
    small = (load_digits().images * (255 / 16)).round().astype(np.uint8)
    size = (_SIDE, _SIDE)
    large = [
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
        for image in small
    ]
    return _unit(np.stack(large).reshape(len(small), -1))


def _unit(pixels: NDArray[np.uint8]) -> Gray:
    """Return 8-bit pixels as values in [0, 1]."""
    gray: Gray = pixels.astype(np.float32)
    gray /= 255
    return gray
