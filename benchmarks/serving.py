"""
Compare the speed of the service with its peers and with HTTP without a model.

Servers have one core, the load another. The servers of a case take turns; figures are
medians over the repetitions. Responses are checked against the model during the
measurement. A complete run replaces its section in `benchmarks/RESULTS.md`.
"""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

from benchmarks import contest, load, tables
from benchmarks.cases import Case, InProcess, cases
from benchmarks.contest import Outcome
from benchmarks.processes import cores
from benchmarks.results import circumstances, write_section
from benchmarks.servers import PACKAGES, SERVERS, install

_SECTION = "Serving"
_LIBRARIES = ("fastapi", "uvicorn", "torch", "onnxruntime", "pydantic", "orjson")
_QUICK_SECONDS, _QUICK_REPEATS = 1.0, 1


def main(words: Sequence[str] | None = None) -> int:
    """Run the selected cases; return the exit status."""
    # Leave as after Ctrl-C, so that every server is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _options(words)
    if options.install_peers:
        for package in PACKAGES:
            _say(f"installing {package}")
            install(package)
        return 0
    if options.quick:
        options.seconds, options.repeats = _QUICK_SECONDS, _QUICK_REPEATS
    chosen = _with_peers(_chosen(options.cases), _installed(options.peers))
    results = _measured(chosen, options)
    text = _text(results, options)
    print(text)
    is_whole = not (options.quick or options.cases or options.peers is not None)
    if is_whole:
        write_section(_SECTION, text)
    return 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__
    )
    names = [case.name for case in cases()]
    parser.add_argument("--cases", nargs="+", choices=names, help="only these")
    parser.add_argument(
        "--peers", nargs="*", choices=[*PACKAGES], help="only these; none for none"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of one repetition")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement")
    parser.add_argument("--load", choices=("auto", "wrk", "builtin"), default="auto")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test: all, a second each, once"
    )
    parser.add_argument(
        "--install-peers", action="store_true", help="make their environments and end"
    )
    return parser.parse_args(words)


def _chosen(names: Sequence[str] | None) -> list[Case]:
    return [case for case in cases() if names is None or case.name in names]


def _installed(wanted: Sequence[str] | None) -> set[str]:
    """Return the servers that can run; say which cannot."""
    able = set()
    for name, server in SERVERS.items():
        if server.package and wanted is not None and server.package not in wanted:
            continue
        if server.installed:
            able.add(name)
        else:
            _say(f"{name} is not installed and left out; --install-peers installs it")
    return able


def _with_peers(chosen: Sequence[Case], able: set[str]) -> list[Case]:
    return [
        replace(
            case,
            entries={
                name: entry
                for name, entry in case.entries.items()
                if isinstance(entry, InProcess) or entry.server in able
            },
        )
        for case in chosen
    ]


def _measured(
    chosen: Sequence[Case], options: argparse.Namespace
) -> dict[Case, Outcome]:
    server_core, load_core = cores()
    os.sched_setaffinity(0, {load_core})
    total = options.repeats * sum(len(case.entries) for case in chosen)
    started, n_done = monotonic(), 0

    def report(line: str) -> None:
        nonlocal n_done
        n_done += 1
        _say(f"[{n_done}/{total}, {monotonic() - started:.0f} s] {line}")

    return {
        case: contest.run(
            case,
            core=server_core,
            generate=load.generator(options.load),
            seconds=options.seconds,
            repeats=options.repeats,
            report=report,
        )
        for case in chosen
    }


def _text(results: dict[Case, Outcome], options: argparse.Namespace) -> str:
    has_wrk = options.load != "builtin" and shutil.which("wrk") is not None
    n_checked = sum(
        measured.n_checked
        for outcome in results.values()
        for runs in outcome.values()
        for measured in runs
    )
    peers = ", ".join(PACKAGES.values())
    facts = (
        f"{circumstances(_LIBRARIES)} Peers: {peers}. Server on one core, one compute "
        f"thread; load from {'wrk' if has_wrk else 'the generator of this folder'} on "
        f"another. Medians of {options.repeats} repetitions of {options.seconds:g} s, "
        f"in turns. {n_checked:,} answers looked at during the load, all of them right "
        "to 1e-4. In parentheses: ours over this one."
    )
    parts = [
        facts,
        tables.overview(results),
        "What is wanted, as a ratio or in ms:\n\n" + tables.judged(results),
        tables.legend(results),
        tables.details(results),
    ]
    return "\n\n".join(part for part in parts if part)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
