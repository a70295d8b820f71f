"""The options of an evaluation."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final, get_args

from model.command_line import Reading
from model.files import ReadOptions
from model.inference.budget import MIN_BUDGET
from model.noise import MAX_SEED
from model.remote.location import location

Measure = Literal["elbo", "loglik", "gap", "refine", "posterior", "anomaly", "impute"]


@final
@dataclass(frozen=True)
class EvaluateOptions:
    """
    Measure a checkpoint on data, print a table and write every row's figures as JSON.

    Attributes:
        checkpoint: Directory of the checkpoint, or a URL such as hf://user/model.
        data: digits, mnist, fashion-mnist, or a path: an array (.npy, .npz), a
            table (.csv, .tsv, .parquet, ...) or a folder of pictures; split as in
            training.
        reading: How a file is read, as in training.
        data_dir: Folder with the IDX files of mnist or fashion-mnist; without it they
            are downloaded once.
        split: Which rows of the data.
        n: Use only the first n rows; all if not given.
        measure: elbo: the ELBO and its terms, as /elbo. loglik: log p(x) by importance
            weighting, as /loglik. gap: log p(x) - ELBO in its two parts, as /gap.
            refine: the ELBO of the best q(z|x) for each row, as /refine. posterior:
            log p(x) and KL(q(z|x) || p(z|x)) by quadrature, as /posterior. anomaly:
            the rank among held-out rows, as /anomaly. impute: log p of the values that
            are known by --mask, as /impute.
        n_samples: K. If not given: for elbo 16; for loglik, log p(x) is estimated
            with --target and --budget.
        target: Standard error of log p(x), in nats, at which sampling of a row stops.
        budget: The most draws of z for log p(x) of a row.
        mask: For impute, a .npy file with 1 where x is known and 0 where it is missing,
            in the shape of an example, for all rows, or with one mask per row.
        n_draws: Draws of z per row for impute, rounded up to a multiple of 64.
        seed: Seed of all noise; the same seed over HTTP gives the same figures.
        binarize: How to binarize gray values: threshold at 1/2, or sample with the
            seed. If not given: as in training.
        data_seed: The --seed of training, which selected the validation rows.
        validation_fraction: As in training.
        test_fraction: As in training.
        out: The JSON file; CHECKPOINT.evaluation.json if not given, for a URL in the
            current directory.
        device: auto uses a GPU if there is one.
        threads: CPU threads; all cores if not given.
    """

    checkpoint: str | Path
    data: str
    reading: Reading = field(default_factory=ReadOptions)
    data_dir: Path | None = None
    split: Literal["train", "validation", "test"] = "test"
    n: int | None = None
    measure: tuple[Measure, ...] = ("elbo",)
    n_samples: int | None = None
    target: float = 0.02
    budget: int = 8192
    mask: Path | None = None
    n_draws: int = 1024
    seed: int = 0
    binarize: Literal["threshold", "sample"] | None = None
    data_seed: int = 0
    validation_fraction: float | None = None
    test_fraction: float | None = None
    out: Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None

    @property
    def file(self) -> Path:
        """The path of the JSON file."""
        where = location(str(self.checkpoint))
        file = f"{self.name}.evaluation.json"
        beside = where.resolve().with_name(file) if isinstance(where, Path) else file
        return self.out or Path(beside)

    @property
    def name(self) -> str:
        """The checkpoint's name."""
        where = location(str(self.checkpoint))
        return where.resolve().name if isinstance(where, Path) else where.name

    def check(self) -> None:
        """
        Check the options before any work.

        Raises:
            ValueError: An option is invalid; the message has its name and value.
        """
        for name, value, least in (
            ("--n", self.n, 1),
            ("--n-samples", self.n_samples, 1),
            ("--threads", self.threads, 1),
            ("--n-draws", self.n_draws, 1),
            ("--budget", self.budget, MIN_BUDGET),
            ("--target", self.target, 0),
        ):
            if value is not None and not value >= least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        for name, seed in (("--seed", self.seed), ("--data-seed", self.data_seed)):
            if not 0 <= seed <= MAX_SEED:
                raise ValueError(f"{name} must lie between 0 and 2^63 - 1, got {seed}")
        if ("impute" in self.measure) != (self.mask is not None):
            raise ValueError("--measure impute and --mask need each other")
        if not self.measure:
            names = ", ".join(get_args(Measure))
            raise ValueError(f"--measure must name at least one of {names}")
