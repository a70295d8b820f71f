"""Headers are lists, of which only as many entries are read as honest clients send."""

import pytest

from app.errors import NotAcceptableError
from app.http import etags
from app.http.compression import is_wanted
from app.http.forwarded import ForwardedHeaders
from app.wire.negotiation import JSON, MAX_ENTRIES, PNG, response_format, with_qualities

LONG = 16_000


@pytest.mark.parametrize("entry", [b",", b"a/b;q=1,", b"a,"])
def test_a_list_of_thousands_costs_as_much_as_one_of_128(entry: bytes) -> None:
    """Thousands of entries would take 10 ms of the event loop."""
    assert len(with_qualities(entry * (LONG // len(entry)))) == MAX_ENTRIES


def test_the_entries_within_the_limit_count() -> None:
    """One that is behind it is ignored."""
    before = b"a/b," * (MAX_ENTRIES - 1)
    formats = (JSON, PNG)

    assert response_format(before + b"image/png", formats) is PNG
    assert is_wanted([(b"accept-encoding", before + b"gzip")])
    assert not is_wanted([(b"accept-encoding", before + b"a,gzip")])
    with pytest.raises(NotAcceptableError):
        response_format(before + b"a/b,image/png", formats)


def test_the_parameters_of_an_entry_are_limited_too() -> None:
    """The quality comes first, as a rule."""
    (entry,) = with_qualities(b"a/b;q=0.5" + b";q=1" * LONG)

    assert entry[0] == "a/b"
    assert with_qualities(b"a/b;x=1;y=2;q=0.5") == [("a/b", 0.5)]


def test_tags_and_proxies_within_the_limit_count() -> None:
    """Of proxies the last ones do, which are those that are trusted."""
    assert etags.matches('"a",' * (etags.MAX_TAGS - 1) + '"b"', '"b"')
    assert not etags.matches('"a",' * etags.MAX_TAGS + '"b"', '"b"')

    forwarded = ForwardedHeaders(["10.0.0.0/8"])
    listed = b"1.2.3.4," + b"10.0.0.1," * LONG + b"1.1.1.1, 10.0.0.2"
    fields = [(b"x-forwarded-for", listed)]
    scope = {"type": "http", "client": ("10.0.0.3", 1), "headers": fields}
    assert forwarded.origin(scope).client == "1.1.1.1"

    fields[:] = [(b"x-forwarded-for", b"1.2.3.4," + b"10.0.0.1," * LONG + b"10.0.0.1")]
    assert forwarded.origin(scope).client == "10.0.0.1"
