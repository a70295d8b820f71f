"""
Code and documents are in plain English: American spelling and standard terms.

Each pattern stands for a word for which there is a plainer one.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The texts that are checked. The cards of released models stay as they were written.
FOLDERS = (
    *("app", "model", "client", "docs", "benchmarks", "deploy", "examples", "tests"),
)
KINDS = {"app": {".py"}, "model": {".py"}, "tests": {".py"}, "client": {".py", ".md"}}
# They name such words themselves.
SPARED = {"tests/test_plain_english.py", "tests/model/checkpoint/test_held_out.py"}
# In these, only the spelling is checked.
SPELLED_KINDS = {".py", ".js", ".html", ".css"}

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
    r"expected to compute at most": "this request needs ...; the limit is ...",
    # Participles as the names of functions.
    r"_(told|made|stopped|operated)": "a verb",
}
BRITISH = {
    r"\w*(amort|binar|initial|maxim|minim|normal|optim)is(?!m|t)\w*": "-ize",
    r"\w*(parametr|standard|summar)is\w*": "-ize",
    r"\w*(behavi|col|neighb)our\w*": "-or",
    r"\w*centre[sd]?|\w*licences?|\w*labelled|\w*analysed|\w*misspelt": "American",
    # In quotes it is a name in stored files, or a value that an option accepts.
    r"(?<!\")(\w*_)?grey(s|er|ish|scale|_\w*)?": "gray",
}


def texts() -> Iterator[Path]:
    """Yield the files that are checked."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in FOLDERS:
        kinds = KINDS.get(folder, {".md"})
        files = sorted((ROOT / folder).rglob("*"))
        yield from (path for path in files if path.suffix in kinds and is_ours(path))


def spelled() -> Iterator[Path]:
    """Yield the files of which only the spelling is checked."""
    for folder in FOLDERS:
        files = sorted((ROOT / folder).rglob("*"))
        yield from (p for p in files if p.suffix in SPELLED_KINDS and is_ours(p))


def is_ours(path: Path) -> bool:
    """Return whether a file is written here and does not name the words itself."""
    name = path.relative_to(ROOT).as_posix()
    return name not in SPARED and "swagger_ui" not in path.parts


def found(text: str, words: Iterable[str] = (*WORDS, *BRITISH)) -> list[str]:
    """Return the words of a text for which there is a plainer one."""
    pattern = rf"(?<!\w)(?:{'|'.join(words)})(?!\w)"
    return [match.group() for match in re.finditer(pattern, text, re.IGNORECASE)]


def suspects(texts: Iterable[str], words: Iterable[str]) -> list[str]:
    """Return the texts that may have one of the words; each of theirs is read once."""
    phrases = [word for word in words if " " in word]
    single = [word for word in words if " " not in word]
    own = {text: set(re.findall(r"\w+", text)) for text in texts}
    odd = set(found("\n".join(set().union(*own.values())), single))
    return [
        text
        for text, its in own.items()
        if odd & its or (phrases and found(text, phrases))
    ]


def offenders(paths: Iterable[Path], words: Iterable[str]) -> str:
    """Return the place of every word that files should not have."""
    texts = {path: path.read_text("utf-8") for path in paths}
    suspected = set(suspects(texts.values(), words))
    return "\n".join(
        f"{path.relative_to(ROOT)}:{number}: {word}"
        for path, text in texts.items()
        if text in suspected
        for number, line in enumerate(text.splitlines(), start=1)
        for word in found(line, words)
    )


def test_texts_are_in_plain_english() -> None:
    """No docstring, comment, message or name has a word of the list."""
    assert not offenders(texts(), (*WORDS, *BRITISH))


def test_code_has_american_spelling() -> None:
    """In benchmarks and the page too."""
    assert not offenders(spelled(), BRITISH)


def test_the_list_finds_words_and_spares_others() -> None:
    """Whole words, in any case, and not words that contain them."""
    assert found("Nobody is told; the Grey one, def _made, binarised, a_grey_one") == [
        "Nobody",
        "told",
        "Grey",
        "_made",
        "binarised",
        "a_grey_one",
    ]
    odd = ["is told", "asked again", "_made"]
    assert suspects(odd, WORDS) == odd
    assert suspects(["a line\nin Grey", "a line\ngray"], BRITISH) == ["a line\nin Grey"]
    assert not suspects(["a line\nask and again"], (*WORDS, *BRITISH))
    assert not found("handmade, heading, greyhounds, optimistic")
