"""Dates and times in texts."""

import pytest

from model.tables.dates import is_date

DATES = """2024-03-31
2024-03-31T08:30:00Z
2024-03-31 08:30:00.123456+00:00
2024/3/1
31.03.2024
31.3.24
3/31/2024 08:30 PM
31-Mar-2024
31. März 2024
1 Mar
March 31, 2024
Mar 2024
08:30
8:30:15
3 days, 1:00:00
-1 days +23:59:59.5"""


@pytest.mark.parametrize("text", DATES.split("\n"))
def test_dates_and_times_are_recognized(text: str) -> None:
    """As databases, Excel and people write them."""
    assert is_date(text)


@pytest.mark.parametrize(
    "text", ["2024", "1.2.3", "12-5", "Marta 2024", "May", "v2024-03", "10.0.0.1", ""]
)
def test_other_texts_are_not(text: str) -> None:
    """Years, versions, names and addresses."""
    assert not is_date(text)
