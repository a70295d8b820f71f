"""Deeply nested JSON is found without parsing it."""

import pytest

from app.wire.nesting import MAX_LEVELS, is_too_deep

DEEP = MAX_LEVELS + 1


@pytest.mark.parametrize(
    "text",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP,
        b'["]]]", {"[": ' + b"[" * (DEEP - 2),
        b'["\\"]", "\\\\"' + b"]" + b"[" * DEEP,
        bytearray(b"[]," * DEEP + b"[" * DEEP),
        b"\xff" + b"[" * DEEP,
    ],
)
def test_a_deep_text_is_too_deep(text: bytes) -> None:
    """Whether it is complete, of arrays or of objects, and whatever its strings say."""
    assert is_too_deep(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[" * MAX_LEVELS + b"]" * MAX_LEVELS,
        b"[]," * DEEP,
        b"]" * DEEP + b"[" * MAX_LEVELS,
        b'["' + b"[" * DEEP + b'"]',
        b'["\\"' + b"{" * DEEP + b'"]',
        b'["' + b"[" * DEEP,  # a string without an end
    ],
)
def test_any_other_text_is_not(text: bytes) -> None:
    """Many arrays are not deep, nor are brackets in a string."""
    assert not is_too_deep(text)
