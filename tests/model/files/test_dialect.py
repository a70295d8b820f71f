"""How a table is written is recognized by all its lines, the first one too."""

import pytest

from model.files import ReadOptions
from model.files.dialect import recognize

# Two cells by spaces, one of them a number; six by commas, fewer of them numbers.
NOTES = "id,age,job,pay,note\n1,,nurse,NA,visit 1\n2,31,clerk,no,visit 2\n"
PEOPLE = "full name,town\nAnna Smith,New York\nBen Young,San Jose\n"
# R's write.table: the rows have names, and the first line has none for them.
ROW_NAMES = '"a" "b"\n"1" 0.5 1,5\n"2" 2.5 2,5\n'


@pytest.mark.parametrize(
    ("text", "sep"), [(NOTES, ","), (PEOPLE, ","), (ROW_NAMES, " ")]
)
def test_the_separator_is_that_of_the_first_line_too(text: str, sep: str) -> None:
    """Spaces and commas in cells separate nothing where they do not in the names."""
    how = recognize("t.csv", text.splitlines(keepends=True), ReadOptions())

    assert how.sep == sep
