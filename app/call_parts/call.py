"""
The definition of a call: its URL, schemas and formats, and the function that runs it.

A call is a function with a decorator, much like a route of FastAPI:

    @post("/encode", summary="x to q(z|x)", ...)
    async def encode(
        model: ServedModel, request: Request, format_: Format
    ) -> Response:

`format_` is the format of the response, chosen by the request's Accept header. The
router, the fast path, the API documentation and the lists in `/model` are derived from
the decorator's arguments. `bind` passes the model to the function.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import cleandoc
from typing import Any, Literal, NamedTuple, Self, final
from urllib.parse import quote

from pydantic import BaseModel

from app.call_parts.examples import ExampleValues
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import Condition, Facts
from app.http.request import Request
from app.http.response import Response
from app.http.schema import StrictObject
from app.wire.negotiation import PNG, Format, Formats, response_format
from model.checkpoint import Checkpoint

Endpoint = Callable[[Request], Awaitable[Response]]
CallFunction = Callable[[ServedModel, Request, Format], Awaitable[Response]]
ExampleBodies = Callable[[ExampleValues], Mapping[str, Mapping[str, Any]]]
WhyNot = Callable[[Checkpoint], str]
Tag = Literal["operations", "analyses", "service"]
# Where a call is computed, and whose capacity is checked.
Room = Literal["batches", "analyses"]

_LISTED = 8
READS = ("GET", "HEAD")


@final
class When(NamedTuple):
    """A format that is available only with some models."""

    condition: Condition
    format: Format


Offers = tuple[Format | When, ...]


def always_possible(_: Checkpoint) -> str:
    """Return no reason why a model could not run a call."""
    return ""


def no_examples(_: ExampleValues) -> Mapping[str, Mapping[str, Any]]:
    """Return no examples."""
    return {}


@final
@dataclass(frozen=True, eq=False)
class Call:
    """
    One call of the API.

    Attributes:
        id: The operation id in the API documentation.
        bind: Returns the endpoint for a model; it also gets the list of all calls.
        request: Schema of the JSON body; None for a call that takes no body.
        options: Its options, which are also query parameters; None if it has none.
        response: Schema of the JSON response; None for plain text.
        reads: The formats of its body.
        writes: The formats of its response.
        examples: Returns complete example bodies by name.
        query: An example of its query.
        why_not: Returns why a model cannot run the call; "" if it can.
        is_documented: Whether it is in the API documentation.
    """

    id: str
    path: str
    methods: tuple[str, ...]
    summary: str
    description: str
    tag: Tag
    bind: "Bind"
    request: type[BaseModel] | None = None
    options: type[StrictObject] | None = None
    response: type[BaseModel] | None = None
    reads: Offers = ()
    writes: Offers = ()
    examples: ExampleBodies = no_examples
    query: Mapping[str, int] | None = None
    why_not: WhyNot = always_possible
    is_documented: bool = True

    def by_query(self, id_: str, *, summary: str, query: Mapping[str, int]) -> Self:
        """Return the same call as a GET with its options in the query."""
        return replace(
            self,
            id=id_,
            methods=READS,
            summary=summary,
            request=None,
            reads=(),
            examples=no_examples,
            query=query,
        )


Bind = Callable[[ServedModel, Sequence[Call]], Endpoint]


def available_formats(offers: Offers, facts: Facts) -> Formats:
    """Return the formats that are available with a model."""
    return tuple(
        offer if isinstance(offer, Format) else offer.format
        for offer in offers
        if isinstance(offer, Format) or offer.condition(facts)
    )


def post(
    path: str,
    *,
    summary: str,
    request: type[BaseModel],
    options: type[StrictObject],
    response: type[BaseModel],
    reads: Offers,
    writes: Offers,
    examples: ExampleBodies,
    room: Room = "batches",
    tag: Tag = "operations",
    why_not: WhyNot = always_possible,
) -> Callable[[CallFunction], Call]:
    """
    Return a decorator that makes a function a call: a POST with a body.

    Args:
        room: The queue whose capacity is checked before the request is read.
    """

    def call(function: CallFunction) -> Call:
        return Call(
            id=path.removeprefix("/"),
            path=path,
            methods=("POST",),
            summary=summary,
            description=cleandoc(function.__doc__ or ""),
            tag=tag,
            bind=partial(_bind_with_checks, function, room, writes),
            request=request,
            options=options,
            response=response,
            reads=reads,
            writes=writes,
            examples=examples,
            why_not=why_not,
        )

    return call


def get(
    path: str,
    *,
    summary: str,
    response: type[BaseModel] | None = None,
    methods: tuple[str, ...] = READS,
    is_documented: bool = True,
) -> Callable[[Bind], Call]:
    """Return a decorator for a function that returns the endpoint of a GET."""

    def call(bind: Bind) -> Call:
        return Call(
            id=path.removeprefix("/"),
            path=path,
            methods=methods,
            summary=summary,
            description=cleandoc(bind.__doc__ or ""),
            tag="service",
            bind=bind,
            response=response,
            is_documented=is_documented,
        )

    return call


def acceptance_check(model: ServedModel, room: Room) -> Callable[[], None]:
    """
    Return a function that checks, before a request is read, that it is accepted.

    It raises `UnavailableError` while the service is draining or compute has stalled,
    and `OverloadedError` if there is no room.
    """
    lifecycle = model.lifecycle
    check_room = {
        "batches": model.compute.batcher.check_room,
        "analyses": model.analysis_threads.check_room,
    }[room]

    def check() -> None:
        if not lifecycle.is_serving:
            raise lifecycle.unavailable()
        check_room()

    return check


def _bind_with_checks(
    function: CallFunction,
    room: Room,
    writes: Offers,
    model: ServedModel,
    _: Sequence[Call],
) -> Endpoint:
    """Return an endpoint that checks capacity and format before calling a function."""
    check = acceptance_check(model, room)
    formats = available_formats(writes, model.facts)
    has_pictures = any(isinstance(w, When) and w.format is PNG for w in writes)
    note = model.reader.why_no_images if has_pictures else ""

    def endpoint(request: Request) -> Awaitable[Response]:
        check()
        format_ = response_format(request.accept, formats, note)
        return function(model, request, format_)

    return endpoint if model.config.table is None else _with_warnings(endpoint)


def _with_warnings(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint of a table that also says which columns did not come."""

    async def warning(request: Request) -> Response:
        response = await endpoint(request)
        return _with_warning(response, request.absent) if request.absent else response

    return warning


def _with_warning(response: Response, absent: Sequence[str]) -> Response:
    """Return a response that says which columns of a table a request did not have."""
    names = ", ".join(quote(name) for name in absent[:_LISTED])
    more = f" and {len(absent) - _LISTED} more" if len(absent) > _LISTED else ""
    what = f"no column {names}{more}: taken as missing"
    return response._replace(
        headers=(*response.headers, (b"vae-warning", what.encode()))
    )
