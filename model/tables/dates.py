"""Texts that are dates or times, as programs and people write them."""

import re

_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?"
_ZONE = r"(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?"
_MONTHS = [
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december", "sept", "mrz"),
    *("januar", "februar", "m\u00e4rz", "mai", "juni", "juli", "oktober", "dezember"),
]
_MONTH = rf"(?:{'|'.join(sorted({*_MONTHS, *(m[:3] for m in _MONTHS)}))})\.?"
_DAY = "|".join(
    [
        r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}",  # 2024-03-31
        r"\d{1,2}([-/.])\d{1,2}\1(?:\d{4}|\d{2})",  # 31.03.2024, 3/31/24
        rf"\d{{1,2}}\.?[ -]{_MONTH}(?:[ -]\d{{2,4}})?",  # 31 March 2024, 31-Mar
        rf"{_MONTH}[ -](?:\d{{1,2}},? ?)?\d{{4}}",  # March 31, 2024, Mar 2024
    ]
)
_LASTED = r"-?\d+ days?,? \+?\d{1,2}:\d{2}:\d{2}(?:\.\d+)?"  # of pandas and Python
_DATE = re.compile(
    rf"(?:{_DAY})(?:(?:T|,? ){_TIME}{_ZONE})?|{_TIME}|{_LASTED}",
    re.IGNORECASE | re.ASCII,
)


def is_date(text: str) -> bool:
    """Say whether a text is a date, a time of the day, both, or a duration."""
    return _DATE.fullmatch(text.strip()) is not None
