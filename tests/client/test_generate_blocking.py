"""The blocking client is what its generator makes of the asynchronous one."""

import inspect
import re

import pytest

import generate_blocking
from vae_client import AsyncClient, Client


def test_the_blocking_client_is_fresh() -> None:
    """Run `make fix`, or `python client/generate_blocking.py`, if this fails."""
    found = {
        path.name: path.read_text(encoding="utf-8")
        for path in generate_blocking.BLOCKING.glob("*.py")
    }

    assert found == generate_blocking.generate()


def test_nothing_asynchronous_is_left() -> None:
    """Neither in the code nor in the docstrings."""
    for name, text in generate_blocking.generate().items():
        body = text.split("\n", 1)[1]  # without the notice
        assert not re.search(r"(?i)async|await|\btasks?\b", body), name


def test_both_clients_have_the_same_methods() -> None:
    """With the same arguments and results; only `aclose` is `close`."""

    def methods(kind: type) -> dict[str, str]:
        return {
            name.replace("aclose", "close"): str(inspect.signature(method))
            for name, method in inspect.getmembers(kind, callable)
            if not name.startswith("_")
        }

    assert methods(AsyncClient) == methods(Client)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("async with gate:\n    await f()\n", "with gate:\n    f()\n"),
        ("x = await (await g())()\n", "x = (g())()\n"),
        ("class AsyncClient(AsyncSession): ...\n", "class Client(Session): ...\n"),
        ("async def aclose(self): ...\n", "def close(self): ...\n"),
        ("y = AsynchronousThing\n", "y = AsynchronousThing\n"),
    ],
)
def test_code_is_translated(source: str, wanted: str) -> None:
    """Keywords and names are replaced as whole words."""
    _, translated = generate_blocking.blocking("a.py", source).split("\n", 1)

    assert translated == wanted
