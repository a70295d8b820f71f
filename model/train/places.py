"""The paths of a run: its checkpoint, and its own directory next to it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from pydantic import BaseModel, ValidationError

from model import atomic_files, staging
from model.checkpoint import MANIFEST
from model.regular_files import read_regular
from model.train.options import TrainOptions

_MAX_JOURNAL_BYTES = 1 << 28
_MAX_NAME_BYTES = 200  # the names of temporary files are up to 40 longer; 255 is most


class _Bound(BaseModel):
    elbo: float


@final
class _Line(BaseModel):
    """The fields that every line of a journal has."""

    epoch: int
    train: _Bound
    validation: _Bound


@final
@dataclass(frozen=True)
class Places:
    """
    The paths of a run.

    Attributes:
        checkpoint: Written once, at the end.
        run: `metrics.jsonl` and, to resume from, `state.safetensors`.
    """

    checkpoint: Path
    run: Path

    @classmethod
    def of(cls, options: TrainOptions) -> Self:
        """
        Return the paths for --out, or named after the data.

        Raises:
            ValueError: --out does not name a directory that can be made or replaced.
        """
        out = options.out or Path("checkpoints") / Path(options.data).resolve().stem
        if out.name in ("", ".."):
            raise ValueError(f"--out must name a directory of its own, got {out}")
        if (n := len(os.fsencode(out.name))) > _MAX_NAME_BYTES:
            raise ValueError(
                f"--out must have a name of at most {_MAX_NAME_BYTES} bytes, got {n}"
            )
        return cls(checkpoint=out, run=out.with_name(f"{out.name}.training"))

    @property
    def journal(self) -> Path:
        """The journal, one JSON line per epoch."""
        return self.run / "metrics.jsonl"

    @property
    def columns(self) -> Path:
        """The columns of a table, which --columns accepts."""
        return self.checkpoint.with_name(f"{self.checkpoint.name}.columns.json")

    @property
    def state(self) -> Path:
        """The saved state, which `--resume` reads."""
        return self.run / "state.safetensors"

    def check_free(self) -> None:
        """
        Check that there are no files of an earlier run.

        Raises:
            ValueError: There are files that would be lost.
        """
        go_on = (
            f"continue with --resume {self.checkpoint}, " if self.state.exists() else ""
        )
        if _holds_anything(self.checkpoint):
            raise ValueError(
                f"{self.checkpoint} already exists: {go_on}give another --out, or "
                "--overwrite to replace it"
            )
        if go_on:
            raise ValueError(
                f"{self.run} holds an unfinished run: {go_on}or start again with "
                "--overwrite"
            )

    def check_replaceable(self) -> None:
        """
        Check that an existing directory is a checkpoint, so that it may be replaced.

        Raises:
            ValueError: The directory has files but is not a checkpoint.
        """
        if (
            _holds_anything(self.checkpoint)
            and not (self.checkpoint / MANIFEST).is_file()
        ):
            raise ValueError(
                f"{self.checkpoint} is not a checkpoint, so --overwrite "
                "does not replace it: give another --out"
            )

    def clear(self) -> None:
        """
        Remove the files of an earlier run except its checkpoint.

        The checkpoint is kept until the new one replaces it.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        self.state.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Remove the state of a run without usable weights, so another can start."""
        self.state.unlink(missing_ok=True)

    def record(self, line: dict[str, Any]) -> None:
        """Add a line to the journal."""
        with staging.naming(self.journal), self.journal.open("a") as journal:
            journal.write(json.dumps(line) + "\n")

    def journal_lines(self) -> list[dict[str, Any]]:
        """Return the lines of the journal, up to one that is damaged or cut short."""
        lines: list[dict[str, Any]] = []
        try:
            content = read_regular(self.journal, max_bytes=_MAX_JOURNAL_BYTES)
        except FileNotFoundError:
            return lines
        for text in content.splitlines():
            try:
                line = _Line.model_validate_json(text)
            except ValidationError:
                break
            if lines and line.epoch != lines[-1]["epoch"] + 1:
                break
            lines.append(json.loads(text))
        return lines

    def forget_after(self, epoch: int) -> None:
        """Drop the lines of epochs that will be trained again."""
        kept = [line for line in self.journal_lines() if line["epoch"] <= epoch]
        content = "".join(json.dumps(line) + "\n" for line in kept)
        atomic_files.replace(self.journal, content.encode())


def _holds_anything(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()
