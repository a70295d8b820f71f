"""The section `Attributes` of docstrings, as texts for help and documentation."""

import re
from inspect import cleandoc

_SECTION = "Attributes:\n"
_ATTRIBUTE = re.compile(r"    (\w+): (.*(?:\n        .*)*)")


def summary(docstring: str | None) -> str:
    """Return a docstring without the section."""
    return cleandoc(docstring or "").partition(_SECTION)[0].rstrip()


def attributes(docstring: str | None) -> dict[str, str]:
    """Return the text of each attribute, in one line."""
    section = cleandoc(docstring or "").partition(_SECTION)[2]
    return {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(section)}
