"""
Encode a million rows of MNIST by file, and compare with the engine alone.

    python -m benchmarks.bulk [--rows 1000000 --repeats 3 --dtype uint8]

The engine's rate is that of its products: one process on each core calls `encode` on
rows that are in memory. Both run in turns. `--write` replaces the section of
RESULTS.md.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np

from benchmarks import results
from benchmarks.processes import ROOT
from model import checkpoint
from model.machine import available_cores

_CHECKPOINT = ROOT / "released" / "mnist"
BATCH = 256  # rows in a call of the engine, with which it is fastest
_WRITTEN = 1 << 14  # rows written at once
# What the parent has in memory counts in a child's ru_maxrss, and not here.
_PROGRAM = """
import sys
from pathlib import Path
from model.bulk.command import main
status = main(sys.argv[1:])
print(Path("/proc/self/status").read_text())
sys.exit(status)
"""


class Run(NamedTuple):
    """One run of vae-encode: of the whole command, and of its rows alone."""

    seconds: float
    rows_per_second: float
    peak_mib: float


def save_rows(path: Path, n: int, dtype: str) -> None:
    """Write rows of the checkpoint's own examples, again and again."""
    examples = checkpoint.load(_CHECKPOINT).examples
    assert examples is not None
    gray = examples.x if examples.gray is None else examples.gray
    pixels = np.rint(gray.reshape(len(gray), -1) * 255).astype(np.uint8)
    rows = pixels if dtype == "uint8" else (pixels / 255).astype(dtype)
    some = np.resize(rows, (_WRITTEN, rows.shape[1]))
    written = np.lib.format.open_memmap(
        path, mode="w+", dtype=rows.dtype, shape=(n, rows.shape[1])
    )
    for start in range(0, n, _WRITTEN):
        written[start : start + _WRITTEN] = some[: n - start]
    written.flush()


def engine_rate(n_processes: int, seconds: float) -> float:
    """Return the rows per second of all cores, each with a process of its own."""
    command = [sys.executable, "-m", "benchmarks.inprocess", "--way", "engine"]
    command += ["--checkpoint", str(_CHECKPOINT), "--rows", str(BATCH)]
    running = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(n_processes)
    ]
    for asked in (0.1, seconds):  # the first one waits until all are ready
        for process in running:
            assert process.stdin is not None
            process.stdin.write(f"{asked}\n")
            process.stdin.flush()
        outputs = [process.stdout for process in running if process.stdout]
        rates = [float(output.readline()) for output in outputs]
    for process in running:
        process.communicate()
    return sum(rates)


def encode(path: Path, out: Path) -> Run:
    """Run vae-encode."""
    command = [sys.executable, "-c", _PROGRAM, "encode", str(_CHECKPOINT)]
    started = perf_counter()
    ended = subprocess.run(
        [*command, str(path), "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = perf_counter() - started
    assert ended.returncode == 0, ended.stderr
    [rate] = re.findall(r"([\d,]+) rows/s", ended.stderr)
    [peak] = re.findall(r"VmHWM:\s*(\d+) kB", ended.stdout)
    return Run(seconds, float(rate.replace(",", "")), float(peak) / 1024)


def main() -> None:
    """Measure and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of the engine")
    parser.add_argument("--dtype", choices=("uint8", "float32"), default="uint8")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    n_cores = available_cores()
    engine: list[float] = []
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as name:
        path, few = Path(name) / "x.npy", Path(name) / "few.npy"
        save_rows(path, options.rows, options.dtype)
        save_rows(few, options.rows // 100, options.dtype)
        for _ in range(options.repeats):
            engine.append(engine_rate(n_cores, options.seconds))
            runs.append(encode(path, Path(name) / "codes.npy"))
        least = encode(few, Path(name) / "codes.npy")
    text = report(options, n_cores, engine, runs, least)
    print(text)
    if options.write:
        results.write_section("Bulk work", text)


def report(
    options: argparse.Namespace,
    n_cores: int,
    engine: Sequence[float],
    runs: Sequence[Run],
    least: Run,
) -> str:
    """Return the section of RESULTS.md."""
    pairs = zip(runs, engine, strict=True)
    ratios = [run.rows_per_second / rate for run, rate in pairs]
    rate = median(run.rows_per_second for run in runs)
    seconds = median(run.seconds for run in runs)
    peak = max(run.peak_mib for run in runs)
    table = results.table(
        ("way", "rows/s", "of the engine", "whole command", "memory at most"),
        (
            ("the engine alone", f"{median(engine):,.0f}", "1", "", ""),
            (
                f"vae-encode, {options.rows:,} rows of {options.dtype}",
                f"{rate:,.0f}",
                f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                f"{seconds:.1f} s",
                f"{peak:.0f} MiB",
            ),
            (
                f"vae-encode, {options.rows // 100:,} rows",
                "",
                "",
                f"{least.seconds:.1f} s",
                f"{least.peak_mib:.0f} MiB",
            ),
        ),
    )
    return (
        f"`python -m benchmarks.bulk --rows {options.rows} --dtype {options.dtype}`; "
        f"{results.circumstances(('numpy', 'onnxruntime', 'torch'))}\n\n"
        f"Medians of {options.repeats} runs in turns on {n_cores} cores. The engine's "
        "rate is that of a process on each core with rows in memory. The whole command "
        f"includes loading libraries and checkpoint.\n\n{table}"
    )


if __name__ == "__main__":
    main()
