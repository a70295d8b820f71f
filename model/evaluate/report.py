"""Reports of an evaluation: means over the examples, a table, and JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from model.evaluate.measures import Measured
from model.inference.columns import Column

_ERROR = "_standard_error"
# Diagnostics of a row's estimate, whose mean has no meaning.
_PER_ROW_ONLY = ("n_samples", "pareto_k")


class ColumnMean(NamedTuple):
    """
    A column's mean over the examples.

    Attributes:
        standard_error: Of the mean, over the choice of examples and of noise; None for
            a single example.
        monte_carlo_error: The part of it that comes from noise, if rows have errors.
    """

    mean: float
    standard_error: float | None
    monte_carlo_error: float | None


def summaries(measured: Measured) -> dict[str, ColumnMean]:
    """Summarize every column that is a quantity; for flags, the share that is true."""
    columns = measured.columns
    return {
        name: _summary(values, columns.get(name + _ERROR))
        for name, values in columns.items()
        if not name.endswith(_ERROR) and name not in _PER_ROW_ONLY
    }


def table(found: Mapping[str, Measured], rows: str) -> str:
    """
    Return the means of all measures as a text table.

    Args:
        rows: Which rows they are of, in words.
    """
    head = f"{rows}, in nats"
    lines = [f"{head:32}{'mean':>12}{'± standard error':>20}{'noise alone':>14}"]
    for measure, measured in found.items():
        for name, summary in summaries(measured).items():
            lines.append(
                f"{measure:8}{name:24}{summary.mean:12.4f}"
                f"{_number(summary.standard_error):>20}"
                f"{_number(summary.monte_carlo_error):>14}"
            )
    return "\n".join(lines) + "\n"


def document(head: Mapping[str, Any], found: Mapping[str, Measured]) -> str:
    """Return everything as JSON; NaN and infinity are null."""
    measures = {
        measure: {
            "settings": measured.settings,
            "figures": {
                name: summary._asdict() for name, summary in summaries(measured).items()
            },
            "rows": {
                name: [_finite(value) for value in values.tolist()]
                for name, values in measured.columns.items()
            },
        }
        for measure, measured in found.items()
    }
    whole = {**head, "units": "nats", "measures": measures}
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def _summary(values: Column, errors: Column | None) -> ColumnMean:
    n = len(values)
    x = values.astype(np.float64)
    return ColumnMean(
        mean=float(x.mean()),
        standard_error=float(x.std(ddof=1) / math.sqrt(n)) if n > 1 else None,
        monte_carlo_error=None
        if errors is None
        else float(np.sqrt(np.square(errors).sum()) / n),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
