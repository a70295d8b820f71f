"""
Code and documents are in plain English: American spelling and standard terms.

Each pattern stands for a word for which there is a plainer one.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The texts that are checked. The cards of released models stay as they were written.
FOLDERS = ("app", "model", "client", "docs", "benchmarks", "deploy", "examples")
KINDS = {"app": {".py"}, "model": {".py"}, "client": {".py", ".md"}}

WORDS = {
    # Picturesque words.
    r"told": "reported, logged, notified",
    r"heard": "received, handled",
    r"nobody": "no client, no process",
    r"whoever": "any client, any process",
    r"(in|at) hand": "in progress, queued, in memory",
    r"ask(s|ed|ing)? again": "try again",
    r"attendance": "cancellation",
    r"hangups?": "SIGHUP",
    r"envelope": "middleware",
    r"editions?": "loaded model",
    r"(?-i:Press)": "loader",
    r"expected to compute at most": "this request needs ...; the limit is ...",
    # Participles as the names of functions.
    r"_(told|made|stopped|operated)": "a verb",
    # British spelling.
    r"\w*(binaris|optimis|amortis|normalis|initialis|standardis)\w*": "-ize",
    r"\w*colour\w*|\w*behaviour\w*|neighbour\w*": "-or",
    # In quotes it is a name in stored files, or a value that an option accepts.
    r"(?<!\")grey(s|er|ish|scale)?": "gray",
    r"misspelt": "misspelled",
}
_WORD = re.compile(rf"(?<!\w)(?:{'|'.join(WORDS)})(?!\w)", re.IGNORECASE)


def texts() -> Iterator[Path]:
    """Yield the files that are checked."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in FOLDERS:
        kinds = KINDS.get(folder, {".md"})
        files = sorted((ROOT / folder).rglob("*"))
        yield from (path for path in files if path.suffix in kinds)


def found(text: str) -> list[str]:
    """Return the words of a text for which there is a plainer one."""
    return [match.group() for match in _WORD.finditer(text)]


def test_texts_are_in_plain_english() -> None:
    """No docstring, comment, message or name has a word of the list."""
    offenders = [
        f"{path.relative_to(ROOT)}:{number}: {word}"
        for path in texts()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for word in found(line)
    ]

    assert not offenders, "\n".join(offenders)


def test_the_list_finds_words_and_spares_others() -> None:
    """Whole words, in any case, and not words that contain them."""
    assert found("Nobody is told; the Grey one, def _made, binarised") == [
        "Nobody",
        "told",
        "Grey",
        "_made",
        "binarised",
    ]
    assert not found("press a key, handmade, heading, greyhounds")
