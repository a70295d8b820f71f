"""Reads bodies that are tables, CSV and Parquet, in the event loop or in a thread."""

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TypeVar, final

from app.http.body_budget import BodyBudget
from app.http.request import Request
from app.wire.body import Body
from app.wire.csv import reader as csv_reader
from app.wire.layout import Layout, Rows
from app.wire.masked import ReadTable
from app.wire.negotiation import CSV, PARQUET, Format, Formats
from app.wire.parquet import reader as parquet_reader
from app.wire.parquet.installed import is_installed
from app.wire.threads import Threads

_INLINE_BYTES = 1 << 13  # of CSV: about a millisecond, cell by cell
_MAX_AT_ONCE = 2

_Result = TypeVar("_Result")
FORMATS: Formats = (CSV, PARQUET)


def formats() -> Formats:
    """Return the formats of tables that can be read."""
    return FORMATS if is_installed() else (CSV,)


@final
class TableBodies:
    """Runs what reads a body; at most two long ones at a time."""

    def __init__(self, bodies: BodyBudget) -> None:
        self._bodies = bodies
        self._threads = Threads(_MAX_AT_ONCE)

    async def read_rows(
        self, request: Request, format_: Format, body: Body, layout: Layout
    ) -> Rows:
        """Return the rows of a body; its errors are those of `read`."""

        def parse(read: ReadTable, stop: Event) -> Rows:
            return read(layout, stop)

        return await self.read(request, format_, body, layout, parse)

    async def read(
        self,
        request: Request,
        format_: Format,
        body: Body,
        layout: Layout,
        parse: Callable[[ReadTable, Event], _Result],
    ) -> _Result:
        """
        Return what a function reads from a body.

        Args:
            parse: Gets a function that returns the rows for a layout with these
                columns, and an event to end early.

        Raises:
            ProblemError: The body does not match the layout, or is over a limit.
        """
        if format_ is PARQUET:
            most = request.most_unpacked(self._bodies)
            limits = parquet_reader.UnpackedLimits(most, self._bodies.max_bytes)
            measure = partial(parquet_reader.measure, body, layout, limits)
            file = await self._threads.run(measure)
            request.count_unpacked(file.n_bytes, self._bodies)
            return await self._threads.run(partial(parse, file.read))
        read_rows = partial(csv_reader.read, body)
        if len(body) <= _INLINE_BYTES:
            return parse(read_rows, Event())
        return await self._threads.run(partial(parse, read_rows))
