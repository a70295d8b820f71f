"""Which rows of the input a run computes: all, or a shard of them."""

import re

_BOUNDS = re.compile(r"(\d*):(\d*)")
_PART = re.compile(r"(\d+)/(\d+)")


def row_range(text: str | None, n_rows: int, *, of: str) -> range:
    """
    Return the rows that `--rows` selects.

    Args:
        text: "START:STOP", either of which may be missing, or "INDEX/COUNT" for one of
            COUNT parts of nearly equal size, counted from 0; None for all rows.
        of: Name of the input, for errors.

    Raises:
        ValueError: It is neither, or selects no row or rows that do not exist.
    """
    if text is None:
        return range(n_rows)
    if part := _PART.fullmatch(text):
        index, count = map(int, part.groups())
        if index >= count:
            raise ValueError(
                f"--rows {text}: the parts are 0/{count} to {count - 1}/{count}"
            )
        found = range(n_rows * index // count, n_rows * (index + 1) // count)
    elif bounds := _BOUNDS.fullmatch(text):
        start, stop = bounds.groups()
        found = range(int(start or 0), int(stop) if stop else n_rows)
    else:
        raise ValueError(
            f"--rows must be START:STOP, as in 0:5000, or INDEX/COUNT, as in 0/8, got"
            f" {text}"
        )
    if not found or found.stop > n_rows:
        raise ValueError(f"--rows {text} selects {_named(found)} of {n_rows} in {of}")
    return found


def _named(rows: range) -> str:
    if not rows:
        return "no rows"
    return f"the rows {rows.start} to {rows.stop - 1}"
