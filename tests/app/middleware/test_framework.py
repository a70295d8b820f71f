"""Paths behind a proxy: prefixes that it removed or not, and slashes too many."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.app.served import Served, assert_problem

PREFIX = "/models/vae"


@pytest.fixture(scope="module")
def prefixed(checkpoints: Path) -> Iterator[Served]:
    """Serve below a prefix."""
    with Served(checkpoints / "bernoulli", root_path=PREFIX) as served:
        yield served


@pytest.mark.parametrize("removed", [True, False])
def test_a_prefix_may_be_removed_by_the_proxy_or_not(
    prefixed: Served, *, removed: bool
) -> None:
    """Calls, pages and their files are found either way."""
    start = "" if removed else PREFIX

    answers = [
        prefixed.get(f"{start}{path}")
        for path in ("/", "/docs", "/docs/start.js", "/explorer/main.js", "/sample")
    ]
    encoded = prefixed.post(f"{start}/encode", {"x": [[0.5] * 16]})
    missing = prefixed.get(f"{start}/nope")

    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert encoded.status_code == 200
    assert assert_problem(missing, 404)["instance"] == "/nope"


def test_the_document_has_the_prefix(prefixed: Served, bernoulli: Served) -> None:
    """Generated clients and the API page send requests below it."""
    document = prefixed.get("/openapi.json").json()

    assert document["servers"] == [{"url": PREFIX}]
    assert "/encode" in document["paths"]
    assert "servers" not in bernoulli.get("/openapi.json").json()


@pytest.mark.parametrize("base", ["https://a.example/models/vae", "https://a.example"])
@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/decode/", "/decode"),
        ("/docs/", "/docs"),
        ("/livez/", "/livez"),
        ("/sample/?n=2&seed=3", "/sample?n=2&seed=3"),
    ],
)
def test_a_slash_too_many_is_redirected_below_the_prefix(
    prefixed: Served, bernoulli: Served, base: str, path: str, leads_to: str
) -> None:
    """The redirect is relative: scheme, host and prefix stay those of the client."""
    for served in (prefixed, bernoulli):
        answer = served.get(path)

        assert answer.status_code == 308
        location = answer.headers["location"]
        assert urljoin(base + path, location) == base + leads_to


def test_a_redirected_request_keeps_its_method_and_body(bernoulli: Served) -> None:
    """Who follows it gets what the path without the slash answers."""
    body = b'{"z": [[0, 0, 0]]}'

    redirect = bernoulli.post_raw("/decode/", body)
    answer = bernoulli.post_raw(redirect.headers["location"], body)

    assert redirect.status_code in (307, 308)  # those that change no method
    assert answer.json() == bernoulli.post_raw("/decode", body).json()


@pytest.mark.parametrize(
    "path",
    [
        "/nope/",
        "/decode//",
        "//decode/",
        "//evil.example/",
        "/docs/nope.js/",
        "/%0d%0aset-cookie:a/",
        "/explorer/main.js/",
    ],
)
def test_nothing_else_is_redirected(bernoulli: Served, path: str) -> None:
    """No part of a client's path gets into a Location."""
    answer = bernoulli.request("GET", f"http://test{path}")

    assert_problem(answer, 404)
    assert "location" not in answer.headers


def test_the_prefix_without_its_slash_leads_to_the_page(prefixed: Served) -> None:
    """The page's own addresses are relative to the slash."""
    answer = prefixed.get(PREFIX)

    assert answer.status_code == 308
    location = answer.headers["location"]
    assert urljoin(f"https://a.example{PREFIX}", location).endswith(f"{PREFIX}/")


def test_without_the_page_the_root_leads_to_the_documentation(
    checkpoints: Path,
) -> None:
    """Relative too, so that it needs no setting."""
    with Served(checkpoints / "bernoulli", explorer=False) as served:
        answer = served.get("/")

    assert answer.status_code == 307
    assert answer.headers["location"] == "docs"
