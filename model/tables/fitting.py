"""
Fit the marginals of a table's columns to training rows.

On the range of the training rows, the marginal of a number is proportional to
w (atoms) + (0.99 - w) (kernel density) + 0.01 (uniform); the kernel density is
reflected at the ends of the range. What lies beyond them is in `model.tables.steps`.
Width of the kernel and w are chosen by the likelihood of training rows that were left
out.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray

from model.noise import Stream, generator
from model.tables.families import FORMULAS, KnotCurve
from model.tables.schema import Codes, TableColumn, TableSchema
from model.tables.steps import Outside, Steps

Float = NDArray[np.float64]

_BANDWIDTHS = (0.02, 0.05, 0.1, 0.2, 0.4)
_ATOM_WEIGHTS = np.append(np.arange(0, 0.98, 0.02), 0.97)
_MAX_KERNELS, _MAX_HELD_OUT, _MAX_ATOMS = 2000, 2000, 4096
_FREQUENT, _LEAST_RARE = 0.01, 20  # a share of the rows; a number of rows
_N_GRID = 384  # knots of a smooth density, half of them equally spaced
_UNIFORM = 0.01  # the weight of the uniform part
_UNKNOWN = np.array([-1.0, 0.0, 1.0])  # for a column without any value: of either sign
_LEAST = 1e-300  # the probability of a held-out cell far from all others
_SMOOTHING = 0.5  # added to the count of each category


@final
class FittedMarginals(NamedTuple):
    """Arrays for `Marginals.set`, and the schema with the length of the knots."""

    schema: TableSchema
    knots: Float
    masses: Float
    shares: Float


def fit_marginals(schema: TableSchema, codes: Codes, *, seed: int) -> FittedMarginals:
    """
    Fit the marginal of every column to the codes of training rows, (N, C).

    A column without any value gets a broad default.
    """
    curves: list[KnotCurve] = []
    tables: list[Float] = []
    for j, column in enumerate(schema.columns):
        x = codes[:, j][~np.isnan(codes[:, j])]
        if column.has_logits:
            tables.append(_shares(column, x))
        else:
            curves.append(_curve(column, x, seed=seed, index=j))
    n_knots = max((len(curve.knots) for curve in curves), default=2)
    most = max((len(shares) for shares in tables), default=1)
    knots, masses = (
        np.empty((len(curves), n_knots)),
        np.empty((len(curves), n_knots + 1)),
    )
    for i, curve in enumerate(curves):
        n_more = n_knots - len(curve.knots)
        knots[i] = np.pad(curve.knots, (0, n_more), mode="edge")
        masses[i] = np.insert(curve.masses, [-1] * n_more, 0.0)
    shares = np.zeros((len(tables), most))
    for i, known in enumerate(tables):
        shares[i, : len(known)] = known
    return FittedMarginals(
        schema.model_copy(update={"n_knots": n_knots}), knots, masses, shares
    )


def _shares(column: TableColumn, codes: Float) -> Float:
    """Return the smoothed share of each category, and of an unseen one."""
    n = column.n_levels + (column.kind == "categorical")
    counts = np.bincount(codes.astype(np.int64), minlength=n)[:n] + _SMOOTHING
    shares: Float = counts / counts.sum()
    # A column of two values has no third: its table has an empty entry there.
    return np.append(shares, np.zeros(column.n_levels + 1 - n))


def _curve(column: TableColumn, x: Float, *, seed: int, index: int) -> KnotCurve:
    """Fit a column of numbers or of ordered categories."""
    if column.kind in FORMULAS:
        return FORMULAS[column.kind](column, x)
    return _numeric(column, x, generator(seed, Stream.INITIALIZATION, 2, index))


def _numeric(column: TableColumn, x: Float, draw: np.random.Generator) -> KnotCurve:
    """Fit the default: atoms, a kernel density, a uniform part and what is outside."""
    steps = np.round(x / column.width) if len(x) else _UNKNOWN
    outside = Outside.of(steps)
    flat = Steps(np.array([outside.low, outside.high]), np.array([0.0, _UNIFORM]))
    order = draw.permutation(len(steps))
    n_held = min(len(steps) // 4, _MAX_HELD_OUT)
    held, rest = steps[order[:n_held]], steps[order[n_held:]]
    fits = []
    for part in _smooth_parts(steps):
        smooth = _smooth(part, draw)
        share = len(part) / len(steps)
        for chance in (_once, _Expected(smooth, share).most, _never):
            of_rest = _atoms(rest, chance)
            fits.append((_best_weight(held, of_rest, smooth, flat), smooth, chance))
    best, smooth, chance = max(fits, key=lambda fit: fit[0].score)
    inside = _mix(best.weight, _atoms(steps, chance), smooth, flat)
    knots, masses = outside.curve(inside)
    return KnotCurve(knots * column.width, masses / masses.sum())


def _smooth_parts(steps: Float) -> list[Float]:
    """Return rows whose kernel density to try: all, and those of rare values."""
    _, inverse, counts = np.unique(steps, return_inverse=True, return_counts=True)
    rare = steps[(counts < _FREQUENT * len(steps))[inverse]]
    return [steps, rare] if _LEAST_RARE <= len(rare) < len(steps) else [steps]


def _smooth(steps: Float, draw: np.random.Generator) -> Steps:
    """Return the kernel density of rows, on an axis on which they are less skewed."""
    axis = _Axis.of(steps)
    t = axis.forward(steps)
    kernels = draw.choice(t, min(_MAX_KERNELS, len(t)), replace=False)
    ends = axis.forward(np.array([steps.min() - 0.5, steps.max() + 0.5]))
    return _kernel_curve(kernels, _bandwidth(kernels), axis, ends)


@final
class _Axis(NamedTuple):
    """An increasing map under which a column is less skewed, standardized."""

    to: Callable[[Float], Float]
    back: Callable[[Float], Float]
    shift: float
    scale: float

    @classmethod
    def of(cls, steps: Float) -> "_Axis":
        """Choose it: the logarithm for a skewed column without negative values."""
        spread = float(steps.std()) or 1.0
        skew = float(np.mean(((steps - steps.mean()) / spread) ** 3))
        to: Callable[[Float], Float] = lambda v: v  # noqa: E731  one of three maps
        back = to
        if skew >= 2 and steps.min() >= 0:
            to, back = _log, _exp
            if steps.min() == 0:
                to, back = np.log1p, np.expm1
        t = to(steps)
        return cls(to, back, float(t.mean()), float(t.std()) or 1.0)

    def forward(self, steps: Float) -> Float:
        """Return t for numbers in units of the resolution."""
        found: Float = (self.to(steps) - self.shift) / self.scale
        return found

    def backward(self, t: Float) -> Float:
        """Return numbers in units of the resolution."""
        return self.back(t * self.scale + self.shift)


def _log(v: Float) -> Float:
    found: Float = np.log(v)
    return found


def _exp(t: Float) -> Float:
    found: Float = np.exp(np.minimum(t, 700))
    return found


def _bandwidth(kernels: Float) -> float:
    """Return the width under which a fifth of the kernels is most likely."""
    n = len(kernels) * 4 // 5
    if n < 2 or n == len(kernels):
        return _BANDWIDTHS[-1]
    inside, left_out = (torch.from_numpy(part) for part in (kernels[:n], kernels[n:]))
    scores = []
    for width in _BANDWIDTHS:
        t = (left_out[:, None] - inside) / width
        log_density = torch.logsumexp(-0.5 * t.square(), dim=1) - math.log(width)
        scores.append(float(log_density.mean()))
    return _BANDWIDTHS[int(np.argmax(scores))]


def _kernel_curve(kernels: Float, width: float, axis: _Axis, ends: Float) -> Steps:
    """
    Return the kernel density, linear between knots that are dense where it is.

    What the kernels have beyond an end is reflected at it: without a loss there, and
    without negative numbers next to zeros (Silverman 1986, section 2.10).
    """
    low, high = ends
    middle = np.quantile(kernels, np.linspace(0, 1, _N_GRID // 2))
    t = np.unique(np.concatenate([np.linspace(low, high, _N_GRID // 2), middle]))
    k, n = torch.from_numpy(kernels), torch.special.ndtr
    parts = [
        (
            n((part - k) / width)
            - n((2 * low - part - k) / width)
            + n((part + k - 2 * high) / width)
        ).mean(dim=1)
        for part in torch.split(torch.from_numpy(t)[:, None], 64)
    ]
    below = torch.cat(parts).numpy()
    below = (below - below[0]) / (below[-1] - below[0])
    points, first = np.unique(axis.backward(t), return_index=True)
    return Steps(points, below[first])


class _Expected(NamedTuple):
    """The counts of values that are expected of a share of smooth rows."""

    smooth: Steps
    share: float

    def most(self, values: Float, n: int) -> Float:
        """Return the counts of values among n rows that chance does not exceed."""
        cells = self.smooth.at(values + 0.5) - self.smooth.at(values - 0.5)
        mean: Float = self.share * n * cells
        most: Float = np.maximum(mean + 2 * np.sqrt(mean), 1.0)
        return most


def _once(values: Float, _n: int) -> Float:
    return np.ones(len(values))


def _never(values: Float, _n: int) -> Float:
    return np.zeros(len(values))


def _atoms(steps: Float, chance: Callable[[Float, int], Float]) -> Steps:
    """
    Return the distribution of frequent values, spread over their cells.

    Args:
        chance: How often values may occur among n rows without being frequent: never,
            if values recur that have occurred once; else once, or as often as is
            expected of a smooth column.
    """
    values, times = np.unique(steps, return_counts=True)
    kept = np.sort(np.argsort(-times, kind="stable")[:_MAX_ATOMS])
    values = values[kept]
    counts = times[kept] - chance(values, len(steps))
    values, counts = values[counts > 0], counts[counts > 0]
    if not len(values):
        return Steps(np.zeros(1), np.zeros(1))
    edges = np.stack([values - 0.5, values + 0.5], axis=1).reshape(-1)
    total = np.cumsum(counts) / counts.sum()
    below = np.stack([np.append(0, total[:-1]), total], axis=1).reshape(-1)
    points, last = np.unique(edges[::-1], return_index=True)
    return Steps(points, below[::-1][last])


class _Scored(NamedTuple):
    """A weight of atoms, and the mean log probability of held-out cells with it."""

    weight: float
    score: float


def _best_weight(held: Float, atoms: Steps, smooth: Steps, flat: Steps) -> _Scored:
    """Return the weight of atoms with which held-out cells are most likely."""
    if not len(held):
        return _Scored(0.0, 0.0)
    low, high = held - 0.5, held + 0.5
    of_atoms, of_kernels, rest = (
        part.at(high) - part.at(low) for part in (atoms, smooth, flat)
    )
    rest = np.maximum(rest, _LEAST)
    weights = _ATOM_WEIGHTS if atoms.below[-1] else _ATOM_WEIGHTS[:1]
    scores = [
        float(np.log(w * of_atoms + (0.99 - w) * of_kernels + rest).mean())
        for w in weights
    ]
    best = int(np.argmax(scores))
    return _Scored(float(weights[best]), scores[best])


def _mix(weight: float, atoms: Steps, smooth: Steps, flat: Steps) -> Steps:
    """Return the mixture of the three parts, on the range of the rows."""
    low, high = flat.points
    inside = smooth.points[(smooth.points > low) & (smooth.points < high)]
    edges = atoms.points if weight else inside[:0]
    points = np.unique(np.concatenate([inside, edges, flat.points]))
    below = weight * atoms.at(points) if weight else np.zeros(len(points))
    below = below + (0.99 - weight) * smooth.at(points) + flat.at(points)
    # Exactly: rounding moves the ends of the kernels' axis.
    below[0], below[-1] = 0, 1
    return Steps(points, below)
