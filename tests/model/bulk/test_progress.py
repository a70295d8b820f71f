"""The line that shows how far a run is."""

import pytest

from model.bulk.progress import RowProgress


def test_a_line_has_rows_rate_and_time_left() -> None:
    """The rate is of this run: rows of an earlier one were not computed in it."""
    progress = RowProgress("mu.npy", total=1_000_000, done=400_000)

    words = progress.words(400_000)

    assert words == "40 %, 400,000 of 1,000,000 rows"
    assert progress.rate(400_000) == 0
    later = progress.words(450_000)
    assert later.startswith("45 %, 450,000 of 1,000,000 rows, ")
    assert later.endswith(" left")
    assert progress.rate(450_000) > 0


def test_a_log_gets_no_line_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A short run has its line at the end alone."""
    progress = RowProgress("mu.npy", total=10, done=0)

    progress.show(5)
    end = progress.end(10)

    assert capsys.readouterr().err == ""
    assert end.endswith(" rows/s")
