"""HTTP without a model: read the body and return a constant."""

from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"11")]


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as an ASGI application and nothing more."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})


def starlette() -> Starlette:
    """Answer from a Starlette route."""

    async def encode(request: StarletteRequest) -> JSONResponse:
        await request.body()
        return JSONResponse({"ok": True})

    return Starlette(routes=[Route("/encode", encode, methods=["POST"])])


def fastapi() -> FastAPI:
    """Answer from a FastAPI route, in FastAPI's own way."""
    app = FastAPI()

    @app.post("/encode")
    async def encode(request: Request) -> dict[str, bool]:
        await request.body()
        return {"ok": True}

    return app
