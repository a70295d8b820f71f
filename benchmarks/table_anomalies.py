"""
Odd rows and cells of tables by `/anomaly`, beside the local outlier factor.

    python -m benchmarks.table_anomalies FOLDER --checkpoints MODELS

FOLDER has the CSV files of `benchmarks.mixed_tables_data`; MODELS keeps models and
figures. Test rows are made odd in three ways: a pair of cells from another row, one
cell from another row, and one number out of range, the upper quartile and 3 to 6 times
the standard deviation (or the interquartile range where it is larger). One call
answers: pairs are ranked by `ratio`, whose p-value is `ratio_p_value`, numbers out of
range by `p_value_either`, where it is equal by the number that is farthest out. Beside
it is that number alone, of which `tail_p_value` is the rank. AUROC is against all test
rows as they are. LOF is scikit-learn's, of standardized numbers, skewed ones after a
logarithm, and indicators of categories. Blamed first is the share of odd cells that are
the first of `blame_order`. At 5 % is the share of rows with a `p_value_either` of at
most 0.05: of test rows as they are, with a pair of cells from another row, and with a
number out of range. The last column tests that ratios of test rows are distributed as
those of held-out rows (Kolmogorov-Smirnov). Errors are those of the mean over odd rows,
or over seeds where they are larger.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from scipy.stats import ks_2samp  # type: ignore[import-untyped]  # it ships none
from sklearn.neighbors import LocalOutlierFactor

from benchmarks.mixed_tables_data import DATA
from benchmarks.results import circumstances, table, write_section
from benchmarks.table_models import (
    Codes,
    Figures,
    TableModel,
    kept,
    parser,
    some,
    table_model,
)
from model import checkpoint
from model.checkpoint.held_out import Calibration
from model.inference import analyses
from model.inference.columns import TableAnomalies, concatenate
from model.inference.row_anomalies import SCORE, HeldOutScores
from model.tables.tails import extremeness
from model.train.measurement import table_scores

_SECTION = "Odd rows and cells of tables"
_NAMES = ("penguins", "credit", "nmes", "loans", "diamonds")
_RATIO_BARS = dict(zip(_NAMES, (0.82, 0.71, 0.67, 0.80, 0.91), strict=True))
_BLAME_BARS = {"credit": 0.30, "diamonds": 0.60}
_RANGE_BLAME_BAR = 0.95
_MOST_ROWS, _MOST_FITTED = 1000, 10_000
_SHARE, _LEAST_ODD, _MOST_DRAWS, _SKEWED = 0.05, 200, 40, 2.0
_EQUAL = 1e-6  # below the difference of two p-values
_HEAD = ("data", "pair: ratio", "-ELBO", "LOF", "bar", "range: either", "tail", "-ELBO")
_HEAD_REST = ("LOF", "blamed first: swapped", "bar", "range")
_HEAD_REPORTED = ("at 5 %: rows", "pair", "range", "same")

Way = Literal["pair", "single", "range"]


@dataclass(frozen=True, eq=False)
class Odd:
    """Some test rows made odd: their codes, (M, C), and the column of each."""

    codes: Codes
    column: np.ndarray


@dataclass(frozen=True, eq=False)
class Task:
    """Test rows of a model, and how to make them odd."""

    model: TableModel

    @cached_property
    def rows(self) -> Codes:
        """Test rows as they are."""
        return some(self.model.dataset.test.x, _MOST_ROWS)

    @cached_property
    def held_out(self) -> HeldOutScores:
        """The scores that training stores; some of a checkpoint without them."""
        stored = checkpoint.load(self.model.path).calibration
        assert stored is not None
        found = HeldOutScores.of(stored)
        assert found is not None
        if found.ratio is None or found.farthest_cell is None:
            x = self.units(self.model.dataset.validation.x)
            score = stored.scores[SCORE]
            more = table_scores(self.model.marginals, x, score)
            found = HeldOutScores.of(Calibration({SCORE: score, **more}))
            assert found is not None
        return found

    def units(self, codes: Codes) -> torch.Tensor:
        """Return rows in the model's units."""
        return torch.from_numpy(self.model.marginals.x_of(codes))

    def odd(self, way: Way, draw: np.random.Generator) -> Odd:
        """Make a twentieth of the rows odd, two at least."""
        n = max(2, round(_SHARE * len(self.rows)))
        found = [
            self._one(way, row, draw)
            for row in draw.choice(len(self.rows), n, replace=False)
        ]
        kept = [one for one in found if one is not None]
        codes, columns = zip(*kept, strict=True)
        return Odd(np.stack(codes), np.array(columns))

    def _one(
        self, way: Way, row: int, draw: np.random.Generator
    ) -> tuple[Codes, int] | None:
        """Make one row odd, unless 50 tries find no cells to change."""
        own, columns = self.rows[row], self.model.schema.columns
        for _ in range(50):
            if way == "range":
                numbers = [j for j, one in enumerate(columns) if not one.has_levels]
                j = int(draw.choice(numbers))
                if np.isnan(own[j]):
                    continue
                found = own.copy()
                found[j] = self._out_of_range(j, draw)
                return found, j
            chosen = draw.choice(len(own), 2 if way == "pair" else 1, replace=False)
            other = self.rows[draw.integers(len(self.rows)), chosen]
            if np.isnan(own[chosen] + other).any() or (own[chosen] == other).any():
                continue
            found = own.copy()
            found[chosen] = other
            return found, int(chosen[0])
        return None

    def _out_of_range(self, j: int, draw: np.random.Generator) -> float:
        x = self.model.known_rows[:, j]
        x = x[~np.isnan(x)]
        low, high = np.quantile(x, [0.25, 0.75])
        value = high + draw.uniform(3, 6) * max(high - low, x.std())
        width = self.model.schema.columns[j].width
        return float(np.round(value / width) * width)

    def anomalies(self, codes: Codes) -> TableAnomalies:
        """Return what `/anomaly` does."""
        x = self.units(codes)
        parts = []
        for rows in analyses.slices(len(x), values_per_row=1):
            part = analyses.anomalies(
                self.model.vae, x[rows], self.held_out, seed=0, first=rows.start
            )
            assert isinstance(part, TableAnomalies)
            parts.append(part)
        return concatenate(parts)

    def farthest(self, found: TableAnomalies) -> Codes:
        """Return the score of which `tail_p_value` is the rank."""
        p_values = torch.from_numpy(found.tail_p_value_per_column)
        far_out = extremeness(self.model.marginals, p_values)
        farthest: Codes = far_out.amax(dim=1).numpy()
        return farthest

    def unusual(self, found: TableAnomalies) -> Codes:
        """Return a score that ranks by `p_value_either`, then by the farthest cell."""
        assert found.p_value_either is not None
        farthest = self.farthest(found)
        score: Codes = _EQUAL * farthest / (1 + farthest) - found.p_value_either
        return score


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The local outlier factor of rows among training rows."""

    model: TableModel

    @cached_property
    def _fitted(self) -> LocalOutlierFactor:
        train = some(self.model.dataset.train.x, _MOST_FITTED)
        return LocalOutlierFactor(novelty=True).fit(self._encoded(train))

    def scores(self, codes: Codes) -> Codes:
        """Return how unusual rows are, (N,)."""
        found: Codes = -self._fitted.score_samples(self._encoded(codes))
        return found

    def _encoded(self, codes: Codes) -> Codes:
        """Return numbers and indicators, and an indicator of cells that may miss."""
        train, parts = self.model.dataset.train.x, []
        for j, column in enumerate(self.model.schema.columns):
            x, known = codes[:, j : j + 1], train[:, j][~np.isnan(train[:, j])]
            if column.has_levels:
                parts.append((x == np.arange(column.n_levels)).astype(float))
            else:
                parts.append(np.nan_to_num(_standardized(x, known)))
            if len(known) < len(train):
                parts.append(np.isnan(x).astype(float))
        return np.concatenate(parts, axis=1)


def _standardized(x: Codes, known: Codes) -> Codes:
    """Return numbers in units of those of training, after a logarithm if skewed."""
    off = known - known.mean()
    if known.min() >= 0 and np.mean(off**3) >= _SKEWED * known.std() ** 3:
        to = np.log1p if known.min() == 0 else np.log
        x, known = to(np.maximum(x, known.min())), to(known)
    standardized: Codes = (x - known.mean()) / (known.std() + 1e-9)
    return standardized


def measured(model: TableModel) -> Figures:
    """Return the figures of one model: means over odd rows, and errors."""
    task, lof = Task(model), Neighbors(model)
    usual = task.anomalies(task.rows)
    scorers: dict[str, Callable[[Codes, TableAnomalies], Codes]] = {
        "ratio": lambda _, found: found.ratio,
        "elbo": lambda _, found: found.negative_elbo,
        "tail": lambda _, found: task.farthest(found),
        "either": lambda _, found: task.unusual(found),
        "lof": lambda codes, _: lof.scores(codes),
    }
    of_usual = {
        name: np.sort(score(task.rows, usual)) for name, score in scorers.items()
    }
    rows: dict[str, list[Codes]] = {}
    per_draw = max(2, round(_SHARE * len(task.rows)))
    ways: tuple[Way, ...] = ("pair", "single", "range")
    for i in range(min(_MOST_DRAWS, -(-_LEAST_ODD // per_draw))):
        for way in ways:
            odd = task.odd(way, np.random.default_rng(100 + i))
            found = task.anomalies(odd.codes)
            for name, score in scorers.items():
                places = _places(score(odd.codes, found), of_usual[name])
                rows.setdefault(f"{way} {name}", []).append(places)
            first = found.blame_order[:, 0] == odd.column
            rows.setdefault(f"{way} first", []).append(first.astype(float))
            assert found.p_value_either is not None
            reported = (found.p_value_either <= 0.05).astype(float)
            rows.setdefault(f"{way} reported", []).append(reported)
    values = {name: np.concatenate(parts) for name, parts in rows.items()}
    return {
        **{name: float(np.mean(one)) for name, one in values.items()},
        **{f"{name} error": _error(one) for name, one in values.items()},
        **_of_usual(task, usual),
    }


def _places(scores: Codes, usual: Codes) -> Codes:
    """Return the share of usual scores below each; their mean is the AUROC."""
    low, high = (np.searchsorted(usual, scores, side=k) for k in ("left", "right"))
    places: Codes = 0.5 * (low + high) / len(usual)
    return places


def _of_usual(task: Task, usual: TableAnomalies) -> Figures:
    """Return how the p-values of test rows as they are are distributed."""
    held_out = task.held_out.ratio
    assert held_out is not None
    assert usual.p_value_either is not None
    return {
        "reported": float((usual.p_value_either <= 0.05).mean()),
        "same": float(ks_2samp(usual.ratio, held_out.values).pvalue),
        "rows": float(len(task.rows)),
    }


def _error(values: Sequence[float] | Codes) -> float:
    n = len(values)
    return float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else 0.0


def summary(name: str, runs: Sequence[Figures]) -> list[str]:
    """Return the line of a data set, with a mark at each bar that is missed."""

    def mean(figure: str) -> float:
        return float(np.mean([one[figure] for one in runs]))

    def error(figure: str) -> float:
        seeds = _error([one[figure] for one in runs])
        rows = float(max(one[f"{figure} error"] for one in runs))
        return max(seeds, rows / math.sqrt(len(runs)))

    def judged(figure: str, bar: float | None) -> str:
        missed = bar is not None and mean(figure) + 2 * error(figure) < bar
        return f"{mean(figure):.3f} ± {error(figure):.3f}{' missed' * missed}"

    ratio_bar, blame_bar = _RATIO_BARS.get(name), _BLAME_BARS.get(name)
    return [
        name,
        judged("pair ratio", ratio_bar),
        *(f"{mean(f'pair {k}'):.3f}" for k in ("elbo", "lof")),
        "-" if ratio_bar is None else f"{ratio_bar:.2f}",
        judged("range either", mean("range lof")),
        *(f"{mean(f'range {k}'):.3f}" for k in ("tail", "elbo", "lof")),
        judged("single first", blame_bar),
        "-" if blame_bar is None else f"{blame_bar:.2f}",
        judged("range first", _RANGE_BLAME_BAR),
        f"{mean('reported'):.3f}",
        f"{mean('pair reported'):.2f}",
        f"{mean('range reported'):.2f}",
        ", ".join(f"{one['same']:.2f}" for one in runs),
    ]


def main() -> None:
    """Measure the data sets of the command line, and print their table."""
    arguments = parser(__doc__, _NAMES, choices=DATA).parse_args()
    warnings.simplefilter("ignore")
    lines = []
    for name in arguments.names:
        runs = []
        for seed in range(arguments.seeds):
            file = arguments.folder / f"{name}.csv"
            model = table_model(file, seed, arguments.checkpoints)
            figures = model.path.with_name(f"{model.path.name}.anomalies.json")
            runs.append(kept(figures, partial(measured, model)))
        lines.append(summary(name, runs))
    text = table([*_HEAD, *_HEAD_REST, *_HEAD_REPORTED], lines)
    print(text)
    if arguments.write:
        about = circumstances(["torch", "numpy", "scikit-learn"])
        seeds = f"Seeds: {arguments.seeds}. Missed: by more than two errors."
        write_section(_SECTION, f"{about}\n\n{__doc__}\n{seeds}\n\n{text}")


if __name__ == "__main__":
    main()
