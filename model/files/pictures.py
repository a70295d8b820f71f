"""A folder of pictures -> gray (N, H, W) or color (N, H, W, 3), labels by subfolder."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model.files import picture, scratch
from model.files.contents import Contents, DataError, Origin, StoredRows
from model.files.options import ReadOptions
from model.files.picture import DecodedPicture, PictureConversion

_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
_MODES: dict[str, Literal["gray", "color"]] = {
    "gray": "gray",
    "grey": "gray",
    "color": "color",
}
_OVERRULED = {
    "laid on white": ": --background black lays on black",
    "laid on black": ": --background white lays on white",
}
MAX_SIDE = 4096
# What a folder of exported parts holds, as of Spark.
_SINGLE = {".csv", ".tsv", ".parquet", ".pq", ".arrow", ".feather", ".npy", ".npz"}
_MAX_LOOKED_AT = 10_000  # it may be the folder of all a user's files
_LISTED = 8


def read(folder: Path, options: ReadOptions) -> Contents:
    """
    Read the pictures of a folder, in the order of their names.

    Subfolders are classes: their pictures get their number as label. Subfolders train,
    validation and test are splits, each with its pictures or classes.

    Raises:
        DataError: No picture, one that cannot be read or is too large, one that differs
            from the first in size or color, or pictures beside subfolders with some.
    """
    mode = None if options.mode is None else _MODES[options.mode]
    how = PictureConversion(_size(options), mode, options.background or "white")
    notes: list[str] = []
    splits = _splits(folder, notes)
    rows: dict[str, StoredRows] = {}
    first = None
    for split, place in splits.items():
        rows[split], first = _rows(place, how, first, notes)
    name = folder.resolve().name
    n = sum(len(part.values) for part in rows.values())
    return Contents(
        name=name,
        rows=rows["train"],
        validation=rows.get("validation"),
        test=rows.get("test"),
        source=f"the {n} images of {name}",
        notes=tuple(dict.fromkeys(notes)),
        background=picture.BACKGROUNDS[how.background],
        turned_gray=how.mode == "gray",
    )


def _splits(folder: Path, notes: list[str]) -> dict[str, Path]:
    """Return the subfolders that are splits, or the folder itself as the only one."""
    found: dict[str, Path] = {}
    others: list[str] = []
    for path in sorted(folder.iterdir()):
        split = _SPLITS.get(path.name.lower()) if path.is_dir() else None
        if split is None:
            others += [path.name] if not path.name.startswith(".") else []
        elif split in found:
            raise DataError(
                f"{folder} has two folders of {split} rows, {found[split].name} and"
                f" {path.name}: leave one"
            )
        else:
            found[split] = path
    if "train" not in found:
        return {"train": folder}
    if others:
        listed = ", ".join(others[:_LISTED]) + ", ..." * (len(others) > _LISTED)
        notes.append(
            f"{folder.name} has the splits {', '.join(found)}; left out: {listed}"
        )
    return found


def _rows(
    folder: Path,
    how: PictureConversion,
    first: tuple[Path, DecodedPicture] | None,
    notes: list[str],
) -> tuple[StoredRows, tuple[Path, DecodedPicture]]:
    """Read the pictures of a split, all like the first one."""
    paths, classes = _files(folder, notes)
    first = first or (paths[0], picture.read(paths[0], how))
    wanted = first[1].values
    x = scratch.empty((len(paths), *wanted.shape), wanted.dtype)
    done: dict[str, list[Path]] = {}
    for i, path in enumerate(paths):
        pixels = first[1] if path == first[0] else picture.read(path, how)
        _check_alike(path, pixels, *first)
        x[i] = pixels.values
        for what in pixels.done:
            done.setdefault(what, []).append(path)
    notes += [_note(what, those, len(paths)) for what, those in done.items()]
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    origin = Origin(folder.resolve().name, unit="image", images=names)
    labels = None if classes is None else np.array(classes, dtype=np.int64)
    return replace(StoredRows.of(x, origin), labels=labels), first


def _files(folder: Path, notes: list[str]) -> tuple[list[Path], list[int] | None]:
    """Return the pictures of a folder, and the numbers of their classes if any."""
    known = picture.suffixes()
    own = _pictures(folder, known, notes)
    classes = {
        path.name: found
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".")
        if (found := _pictures(path, known, notes))
    }
    if own and classes:
        raise DataError(
            f"{folder} has pictures, such as {own[0].name}, and subfolders with"
            f" pictures, such as {next(iter(classes))}: move them all into subfolders,"
            " one a class, or into one folder"
        )
    if own:
        return own, None
    if not classes:
        some = ".png, .jpg, .webp, .tif or others that Pillow reads"
        raise DataError(f"{folder} holds no pictures ({some}){_instead(folder)}")
    listed = ", ".join(f"{i} = {name}" for i, name in enumerate([*classes][:_LISTED]))
    more = f" and {len(classes) - _LISTED} more" if len(classes) > _LISTED else ""
    notes.append(f"the labels are the subfolders of {folder.name}: {listed}{more}")
    paths = [path for found in classes.values() for path in found]
    numbers = [i for i, found in enumerate(classes.values()) for _ in found]
    return paths, numbers


def _pictures(folder: Path, known: frozenset[str], notes: list[str]) -> list[Path]:
    """Return the pictures that are in a folder itself."""
    files = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and path.is_file()
    ]
    found = [path for path in files if path.suffix.lower() in known]
    if found and len(found) < len(files):
        other = next(path for path in files if path.suffix.lower() not in known)
        n = len(files) - len(found)
        notes.append(
            f"{n} file{'s' * (n > 1)} of {folder.name} passed over, no pictures by"
            f" {'their' if n > 1 else 'its'} name: {other.name}"
        )
    return found


def _instead(folder: Path) -> str:
    """Return what to do with a folder that holds others than pictures."""
    some = islice(folder.rglob("*"), _MAX_LOOKED_AT)
    known = picture.suffixes()
    for path in sorted(path for path in some if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in known and not path.name.startswith("."):
            return f": {name} is too deep; one level of subfolders is read, the classes"
        if path.suffix.lower() in _SINGLE:
            return f": {name} is a file of rows; give one such file, not the folder"
    return ""


def _check_alike(
    path: Path, pixels: DecodedPicture, first: Path, wanted: DecodedPicture
) -> None:
    found, expected = pixels.values, wanted.values
    if found.shape == expected.shape and found.dtype == expected.dtype:
        return
    if found.shape[:2] != expected.shape[:2]:
        advice = "--size HEIGHTxWIDTH makes them so"
    elif found.ndim != expected.ndim:
        advice = "--mode gray or --mode color makes them so"
    else:
        advice = "save them all with 8 bits, or all with 16"
    raise DataError(
        f"{path} is {_describe(found)} but {first.name} is {_describe(expected)}; all"
        f" pictures must be of one size and kind: {advice}"
    )


def _describe(pixels: NDArray[Any]) -> str:
    height, width = pixels.shape[:2]
    bits = f"{pixels.dtype.itemsize * 8}-bit "
    kind = "gray" if pixels.ndim == 2 else "RGB"
    return f"{width} x {height} {'' if bits == '8-bit ' else bits}{kind}"


def _note(what: str, paths: Sequence[Path], n: int) -> str:
    named = paths[0].name if len(paths) == 1 else f"{len(paths)} of {n} pictures"
    option = next((o for word, o in _OVERRULED.items() if word in what), "")
    return f"{named} {'is' if len(paths) == 1 else 'are'} {what}{option}"


def _size(options: ReadOptions) -> tuple[int, int] | None:
    if options.size is None:
        return None
    sides = options.size.lower().split("x")
    are_sides = all(side.isdecimal() and 1 <= int(side) <= MAX_SIDE for side in sides)
    if not are_sides or len(sides) > 2:
        raise DataError(
            f"--size must be HEIGHTxWIDTH, from 1 to {MAX_SIDE}, got {options.size}"
        )
    return int(sides[0]), int(sides[-1])
