"""The bars: ratios that the service should reach, and whether it does."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.cases import (
    BINARY_ENTRY,
    ENGINE,
    JSON_ENTRY,
    OURS,
    PEERS,
    TORCH,
    Case,
)
from benchmarks.contest import Outcome, middle


@dataclass(frozen=True)
class AtLeast:
    """Ours must be at least `factor` times the best of the others."""

    case: str
    factor: float
    others: tuple[str, ...]
    ours: str = OURS


@dataclass(frozen=True)
class AtMost:
    """Ours must be at most `factor` times the other."""

    case: str
    factor: float
    other: str
    ours: str = OURS


@dataclass(frozen=True)
class Below:
    """Ours must be below a value."""

    case: str
    value: float
    ours: str = OURS


Bar = AtLeast | AtMost | Below


@dataclass(frozen=True)
class Verdict:
    """A bar, the measured value, and whether it meets the bar."""

    case: str
    wanted: str
    reached: float
    met: bool


_SINGLE = tuple(
    AtLeast(case, factor, others)
    for case in ("json-1x16", "json-1x64")
    for factor, others in (
        (1.0, ("FastAPI, no-op",)),
        (8.0, ("naive FastAPI",)),
        (6.0, ("MLServer, batches", "MLServer, no batches")),
        (10.0, ("BentoML",)),
        (15.0, ("LitServe, batches", "LitServe, no batches")),
    )
)
BARS: tuple[Bar, ...] = (
    *_SINGLE,
    AtMost("json-1x1", 1.3, "FastAPI, no-op"),
    AtLeast("json-32x4", 2.8, tuple(PEERS)),
    AtLeast("json-256x2", 2.4, tuple(PEERS)),
    AtLeast("binary-1x64", 0.5, ("raw ASGI, no-op",)),
    AtLeast("binary-256", 1.2, (TORCH,)),
    AtLeast("binary-4096", 1.2, (TORCH,)),
    AtLeast("sample-64", 4.0, ("naive FastAPI",)),
    AtLeast("elbo-32", 4.0, ("naive FastAPI",)),
    Below("mixed", 25.0),
    AtLeast("images-1x16", 0.9, (TORCH, ENGINE), ours=BINARY_ENTRY),
    AtLeast("images-1x16", 3.0, ("naive FastAPI",), ours=JSON_ENTRY),
)


def verdicts(results: Mapping[Case, Outcome]) -> list[Verdict]:
    """Return the verdict on every bar whose case and servers were measured."""
    found = []
    by_name = {case.name: case for case in results}
    for bar in BARS:
        case = by_name.get(bar.case)
        if case is None:
            continue
        verdict = _verdict(bar, case, results[case])
        if verdict is not None:
            found.append(verdict)
    return found


def _verdict(bar: Bar, case: Case, outcome: Outcome) -> Verdict | None:
    figures = {name: middle(runs, case.figure) for name, runs in outcome.items()}
    if bar.ours not in figures:
        return None
    reached = figures[bar.ours]
    match bar:
        case Below():
            wanted = f"{bar.ours}: below {bar.value:g} ms"
            return Verdict(bar.case, wanted, reached, reached < bar.value)
        case AtMost():
            if bar.other not in figures:
                return None
            ratio = reached / figures[bar.other]
            wanted = f"{bar.ours}: at most {bar.factor:g} x {bar.other}"
            return Verdict(bar.case, wanted, ratio, ratio <= bar.factor)
        case AtLeast():
            others = [name for name in bar.others if name in figures]
            if not others:
                return None
            best = max(others, key=figures.__getitem__)
            ratio = reached / figures[best]
            wanted = f"{bar.ours}: at least {bar.factor:g} x {best}"
            return Verdict(bar.case, wanted, ratio, ratio >= bar.factor)
