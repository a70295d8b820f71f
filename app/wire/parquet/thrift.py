"""
Reads and writes structs of Thrift's compact protocol: Parquet's metadata.

What is read is checked more strictly than other readers do: fields have rising numbers,
a number fits its type, and nesting and the number of values have limits. So no other
reader can see another value in the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from app.wire.body import Body

# The types of the protocol, by their numbers in it; BOOL is 2 where it is false.
BOOL, I8, I32, I64, BINARY, LIST, STRUCT = 1, 3, 5, 6, 8, 9, 12
_FALSE, _I16, _DOUBLE, _SET = 2, 4, 7, 10
_BITS = {_I16: 16, I32: 32, I64: 64}
_VARINT_BITS = 70
_MOST_NESTED = 12
_LONG = 15  # a length that is not in the head of a list
_MAX_FIELD = (1 << 15) - 1


@final
class ThriftError(Exception):
    """Bytes are not a struct of the protocol, or not the expected one."""


@final
@dataclass(frozen=True)
class ListOf:
    """A list of values of a type, or of structs with fields."""

    item: "Type"


Type = int | ListOf | Mapping[int, Any]
Fields = Mapping[int, Type]
Struct = dict[int, Any]


@final
class ThriftReader:
    """
    Reads structs from a part of a body.

    Attributes:
        position: The position in the body of what is read next.
        n_left: How many values may follow; less than 0 if there were too many.
    """

    def __init__(self, body: Body, start: int, end: int, most_values: int) -> None:
        self._body, self._end = body, end
        self.n_left = most_values
        self._n_nested = 0
        self.position = start

    def struct(self, fields: Fields) -> Struct:
        """
        Read a struct; return the values of those fields that it has.

        Raises:
            ThriftError: It is not as it should be.
        """
        self._n_nested += 1
        self._check(self._n_nested <= _MOST_NESTED)
        self._count()
        found: Struct = {}
        last = 0
        while head := self._byte():
            step, kind = divmod(head, 16)
            field = last + step if step else self._integer(_I16)
            if not last < field <= _MAX_FIELD:
                raise ThriftError
            last = field
            wanted = fields.get(field)
            if wanted is None:
                self._skip(kind)
            else:
                found[field] = self._value(kind, wanted)
        self._n_nested -= 1
        return found

    def _value(self, kind: int, wanted: Type) -> Any:
        """Read a value of a field."""
        if wanted == BOOL and kind in (BOOL, _FALSE):
            return kind == BOOL
        if isinstance(wanted, Mapping):
            self._check(kind == STRUCT)
            return self.struct(wanted)
        if isinstance(wanted, ListOf):
            self._check(kind == LIST)
            n, of_items = self._list_head()
            return [self._value(of_items, wanted.item) for _ in range(n)]
        self._check(kind == wanted != BOOL)
        self._count()
        if kind == BINARY:
            start = self._after_bytes()
            return bytes(self._body[start : self.position])
        return self._byte() if kind == I8 else self._integer(kind)

    def _skip(self, kind: int) -> None:
        """Pass over a value."""
        self._count()
        if kind == STRUCT:
            self.struct({})
        elif kind in (LIST, _SET):
            n, of_items = self._list_head()
            for _ in range(n):
                if of_items in (BOOL, _FALSE):  # a byte each, where they are in a list
                    self._count()
                    self._byte()
                else:
                    self._skip(of_items)
        elif kind == BINARY:
            self._after_bytes()
        elif kind in _BITS:
            self._integer(kind)
        elif kind == I8:
            self._byte()
        elif kind == _DOUBLE:
            self._pass(8)
        else:
            self._check(kind in (BOOL, _FALSE))

    def _list_head(self) -> tuple[int, int]:
        """Read how many items a list has, and their type."""
        self._count()
        n, of_items = divmod(self._byte(), 16)
        if n == _LONG:
            n = self._varint()
        self._check(n <= self._end - self.position)  # an item has a byte at least
        return n, of_items

    def _after_bytes(self) -> int:
        """Pass over a string; return where it starts."""
        n = self._varint()
        start = self.position
        self._pass(n)
        return start

    def _integer(self, kind: int) -> int:
        sent = self._varint()
        self._check(not sent >> _BITS[kind])
        return (sent >> 1) ^ -(sent & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            self._check(shift < _VARINT_BITS)

    def _byte(self) -> int:
        position = self.position
        if position >= self._end:
            raise ThriftError
        self.position = position + 1
        return self._body[position]

    def _pass(self, n: int) -> None:
        self.position += n
        self._check(self.position <= self._end)

    def _count(self) -> None:
        self.n_left -= 1
        self._check(self.n_left >= 0)

    def _check(self, is_good: bool) -> None:  # noqa: FBT001  what must be true
        if not is_good:
            raise ThriftError


@final
class Item(NamedTuple):
    """A value to write, and its type."""

    kind: int
    value: Any


@final
class Items(NamedTuple):
    """A list to write: the type of its items, and their values."""

    kind: int
    values: list[Any]


def write_struct(fields: Mapping[int, Item | None]) -> bytes:
    """Return a struct of the fields that have a value, by rising numbers."""
    content = bytearray()
    last = 0
    for field, item in fields.items():
        if item is None:
            continue
        kind = item.kind
        if kind == BOOL and not item.value:
            kind = _FALSE
        content.append((field - last) << 4 | kind)
        last = field
        content += _payload(item.kind, item.value)
    content.append(0)
    return bytes(content)


def _payload(kind: int, value: Any) -> bytes:
    if kind == STRUCT:
        return write_struct(value)
    if kind == LIST:
        head = bytes([_LONG << 4 | value.kind]) + _varint(len(value.values))
        return head + b"".join(_payload(value.kind, one) for one in value.values)
    if kind == BINARY:
        return _varint(len(value)) + bytes(value)
    if kind == I8:
        return bytes([value])
    return b"" if kind == BOOL else _varint(value << 1 ^ value >> 63)


def _varint(value: int) -> bytes:
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)
