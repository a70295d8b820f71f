"""The figures of `benchmarks.serving` as tables."""

from collections.abc import Mapping
from math import isnan

from benchmarks.bars import verdicts
from benchmarks.cases import BINARY_ENTRY, OURS, Case
from benchmarks.contest import Outcome, middle, shown
from benchmarks.load import Measurement
from benchmarks.results import table

Results = Mapping[Case, Outcome]

_UNITS = {
    "requests_per_second": "requests/s",
    "rows_per_second": "rows/s",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
}
_BESIDE = ("p50_ms", "p99_ms", "cpu_us")


def overview(results: Results) -> str:
    """Return a table of servers and JSON cases, each with the ratio of ours to it."""
    shown = [case for case in results if case.name.startswith("json-")]
    servers = dict.fromkeys(name for case in shown for name in results[case])
    head = ["server", *(f"{c.name}, {_UNITS[c.figure]}" for c in shown)]
    rows = [[s, *(_cell(case, results[case], s) for case in shown)] for s in servers]
    return table(head, rows) if shown else ""


def details(results: Results) -> str:
    """Return every figure, with its spread over the repetitions."""
    head = ["case", "server", "unit", "median", "least to most", "ours / this"]
    rows = [
        [case.name, name, *_figures(case, outcome, name), *_beside(runs)]
        for case, outcome in results.items()
        for name, runs in outcome.items()
    ]
    return table([*head, "p50, ms", "p99, ms", "CPU, us/request"], rows)


def legend(results: Results) -> str:
    """Return an explanation of each case."""
    rows = [[case.name, case.title, str(case.connections)] for case in results]
    return table(["case", "what is asked", "connections"], rows)


def judged(results: Results) -> str:
    """Return the bars, and which are met."""
    rows = [
        [v.case, v.wanted, f"{v.reached:.2f}", "met" if v.met else "MISSED"]
        for v in verdicts(results)
    ]
    return table(["case", "wanted", "reached", ""], rows)


def _cell(case: Case, outcome: Outcome, server: str) -> str:
    if server not in outcome:
        return ""
    value = shown(middle(outcome[server], case.figure))
    ratio = _ratio(case, outcome, server)
    return value if server == OURS or not ratio else f"{value} ({ratio})"


def _figures(case: Case, outcome: Outcome, name: str) -> list[str]:
    values = [getattr(measured, case.figure) for measured in outcome[name]]
    return [
        _UNITS[case.figure],
        shown(middle(outcome[name], case.figure)),
        f"{shown(min(values))} to {shown(max(values))}",
        _ratio(case, outcome, name),
    ]


def _beside(runs: list[Measurement]) -> list[str]:
    values = [middle(runs, figure) for figure in _BESIDE]
    return ["" if isnan(value) else shown(value) for value in values]


def _ratio(case: Case, outcome: Outcome, name: str) -> str:
    ours = OURS if OURS in outcome else BINARY_ENTRY
    if ours not in outcome:
        return ""
    figures = [middle(outcome[entry], case.figure) for entry in (ours, name)]
    return f"{figures[0] / figures[1]:.2f}"
