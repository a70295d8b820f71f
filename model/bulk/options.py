"""The options of the bulk commands."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final

from model.bulk.output import SUFFIXES
from model.files import ReadOptions
from model.noise import MAX_SEED
from model.option_values import Binarize, Draw

MAX_TEMPERATURE = 100.0


@dataclass(frozen=True, kw_only=True)
class BulkOptions:
    """
    What all bulk commands take; abstract.

    Attributes:
        checkpoint: Directory of the checkpoint, or a URL such as hf://user/model.
        out: The file to write: .safetensors with all arrays, or .npy with one. It is
            complete or not there; a run that was stopped continues where it was if the
            same command is given.
        array: The array in a .npy file; if not given, the first one.
        dtype: Type of the numbers written; if not given, that of the service's
            responses, which is float32, or float64 for values in units of the data.
        rows: Which rows, as a shard of a larger run: START:STOP, or INDEX/COUNT for one
            of COUNT parts, counted from 0. The bits are those of a run of all rows.
        threads: Threads, each of which computes rows of its own; if not given, the
            available cores.
        device: As of the service; auto uses a GPU if there is one.
        backend: Library that computes the layers, as of the service; auto uses ONNX
            Runtime on a CPU if its results agree with torch's.
    """

    checkpoint: str | Path
    out: Path
    array: str | None = None
    dtype: Literal["float16", "float32"] | None = None
    rows: str | None = None
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    backend: Literal["auto", "torch", "onnx"] = "auto"

    def check(self) -> None:
        """
        Check the options before any work.

        Raises:
            ValueError: An option is invalid; the message has its name and value.
        """
        suffixes = " or ".join(SUFFIXES)
        if self.out.suffix not in SUFFIXES:
            raise ValueError(f"--out must end in {suffixes}, got {self.out}")
        if self.array is not None and self.out.suffix != ".npy":
            raise ValueError(f"--array is for .npy; {self.out.name} has all arrays")
        if not self.out.parent.is_dir():
            raise ValueError(
                f"--out {self.out}: there is no directory {self.out.parent}"
            )
        if self.out.is_dir():
            raise ValueError(f"--out {self.out}: expected a file, got a directory")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"--threads must be at least 1, got {self.threads}")


@dataclass(frozen=True, kw_only=True)
class FileOptions(BulkOptions):
    """
    What the commands that read a file take; abstract.

    Attributes:
        input: An array (.npy, .npz), a table (.csv, .tsv, .parquet, ...) or a folder of
            pictures. A .npy file is memory-mapped, so it may be larger than memory.
        reading: How a file is read, as in training.
    """

    input: Path
    reading: ReadOptions = field(default_factory=ReadOptions)

    def check(self) -> None:
        super().check()
        if self.out.exists() and self.input.exists() and self.out.samefile(self.input):
            raise ValueError(f"--out {self.out} is the input itself")


@dataclass(frozen=True, kw_only=True)
class SeedOptions(BulkOptions):
    """
    What the commands that draw noise take; abstract.

    Attributes:
        seed: Seed of all noise; the same seed over HTTP gives the same bits.
        first: Position of row 0 in a larger data set, as in a request to the service;
            the noise of a row depends on it.
    """

    seed: int = 0
    first: int = 0

    def check(self) -> None:
        super().check()
        for name in ("seed", "first"):
            value = getattr(self, name)
            if not 0 <= value <= MAX_SEED:
                raise ValueError(
                    f"--{name} must lie between 0 and 2^63 - 1, got {value}"
                )


@final
@dataclass(frozen=True, kw_only=True)
class BulkEncodeOptions(FileOptions):
    """Encode the rows of a file: mu and log_var of q(z|x), as /encode answers them."""


@final
@dataclass(frozen=True, kw_only=True)
class BulkDecodeOptions(FileOptions):
    """Decode latents of a file: mean of p(x|z), and log_var, as /decode answers."""


@final
@dataclass(frozen=True, kw_only=True)
class BulkSampleOptions(SeedOptions):
    """
    Draw from the model: x, and z it comes from, as /sample answers them.

    Attributes:
        n: How many rows.
        temperature: A factor for the prior's standard deviation; 0 gives only means.
        draw: mean writes E[x|z], sample draws x ~ p(x|z).
        complete: For a table of mixed kinds: draws of x have no missing cells.
    """

    n: int
    temperature: float = 1.0
    draw: Draw = "mean"
    complete: bool = False

    def check(self) -> None:
        super().check()
        if self.n < 1:
            raise ValueError(f"--n must be at least 1, got {self.n}")
        if not 0 <= self.temperature <= MAX_TEMPERATURE:
            raise ValueError(
                f"--temperature must lie between 0 and {MAX_TEMPERATURE:g}, got"
                f" {self.temperature}"
            )


@final
@dataclass(frozen=True, kw_only=True)
class BulkScoreOptions(FileOptions, SeedOptions):
    """
    Estimate the ELBO of the rows of a file, with its terms, as /elbo answers them.

    Attributes:
        n_samples: K, draws of z per row.
        binarize: How to binarize gray values: threshold at 1/2, or sample with the
            seed.
    """

    n_samples: int = 1
    binarize: Binarize | None = None

    def check(self) -> None:
        super().check()
        if self.n_samples < 1:
            raise ValueError(f"--n-samples must be at least 1, got {self.n_samples}")
