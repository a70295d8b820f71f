"""
Measure the quality of the models of this project on MNIST, and print the tables.

    python -m benchmarks.quality --data-dir path/to/mnist --write

The parts are: `elbo` and `nll`, the bounds on test data over training runs; `gap`, the
gain of refinement; `quadrature`, the bounds and their errors compared with the exact
value; `anomaly`, how well scores separate other data from MNIST; `imputation`, the
density of one half of a digit given the other. Runs that are missing in the folder of
runs are trained first, which takes hours. The results of the parts are stored in that
folder too, and `--write` writes all of them into RESULTS.md.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from benchmarks.quality.evidence import elbo, nll
from benchmarks.quality.gaps import gap, quadrature
from benchmarks.quality.halves import halves
from benchmarks.quality.outsiders import anomaly
from benchmarks.quality.study import RECIPES, Study
from benchmarks.results import circumstances, write_section

_PARTS: Mapping[str, tuple[str, Callable[[Study], str]]] = {
    "elbo": ("The ELBO", elbo),
    "nll": ("log p(x)", nll),
    "gap": ("What the encoder costs", gap),
    "quadrature": ("Bounds beside the truth", quadrature),
    "anomaly": ("What does not belong", anomaly),
    "imputation": ("What is missing", halves),
}
_RUNS = Path(__file__).parent.parent / ".quality"
_SECTION = "Quality"


def main() -> None:
    """Measure the selected parts, and print each when it is done."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    study = Study(
        directory=arguments.runs,
        data_dir=arguments.data_dir,
        fashion_dir=arguments.fashion_dir,
        seeds=tuple(arguments.seeds),
        models=tuple(arguments.models),
        trains=not arguments.trained,
        n=arguments.n,
    )
    for name in arguments.parts:
        title, measure = _PARTS[name]
        started, computed = time.perf_counter(), time.process_time()
        text = measure(study)
        minutes = (time.perf_counter() - started) / 60
        of_processor = (time.process_time() - computed) / 60
        text = (
            f"### {title}\n\n{text}\n\n{circumstances(('torch', 'numpy'))} "
            f"{arguments.threads} thread{'s' * (arguments.threads > 1)}; "
            f"{minutes:.1f} minutes, {of_processor:.1f} of processor time. "
            f"`python -m benchmarks.quality --parts {name}"
            f"{'' if arguments.n is None else f' --n {arguments.n}'}`\n"
        )
        _kept(arguments.runs, name).write_text(text)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    if arguments.write:
        kept = [_kept(arguments.runs, name) for name in _PARTS]
        whole = "\n".join(path.read_text() for path in kept if path.exists())
        write_section(_SECTION, whole)


def _kept(runs: Path, part: str) -> Path:
    return runs / f"{part}.md"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=[*_PARTS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=RECIPES, default=[*RECIPES])
    parser.add_argument("--n", type=int, help="rows of each part, if not its own")
    parser.add_argument("--runs", type=Path, default=_RUNS, help="folder of runs")
    parser.add_argument(
        "--trained", action="store_true", help="leave out runs that are not there"
    )
    parser.add_argument("--data-dir", type=Path, help="folder with MNIST's IDX files")
    parser.add_argument("--fashion-dir", type=Path, help="the same of Fashion-MNIST")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    arguments = parser.parse_args()
    if arguments.n is not None and arguments.n < 2:
        parser.error(f"--n must be at least 2, got {arguments.n}")
    return arguments


if __name__ == "__main__":
    main()
