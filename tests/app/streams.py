"""
HTTP over asyncio's streams, for tests of thousands of requests.

A client library would take most of their time.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple


class Response(NamedTuple):
    """What came; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return a request as it goes over a socket."""
    fields = {"Host": "a", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {target} HTTP/1.1", *map(": ".join, fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def read(reader: asyncio.StreamReader) -> Response:
    """Read a response of a connection that is kept."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *fields = head.splitlines()
    headers = dict(field.split(": ", 1) for field in fields if field)
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = b"".join([chunk async for chunk in _chunks(reader)])
    return Response(int(status.split()[1]), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    size = 1
    while size:
        size = int(await reader.readline(), 16)
        chunk = await reader.readexactly(size + 2)
        yield chunk[:-2]
