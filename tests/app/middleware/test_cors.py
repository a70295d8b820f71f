"""What browsers allow pages of other origins to ask and to see."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.keys import line_of
from tests.app.served import Served, assert_problem

PAGE, OTHER = "https://page.example", "https://other.example"
EXPOSED = (
    "X-Request-ID, VAE-Seed, VAE-Warning, ETag, Retry-After, X-Model-Version, "
    "Server-Timing, Inference-Header-Content-Length"
)
ASKING = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}
KEY = "the-key"


@pytest.fixture(scope="module")
def shared(
    checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve to one origin, with a key."""
    path = tmp_path_factory.mktemp("cors") / "keys"
    path.write_text(line_of(KEY))
    with Served(
        checkpoints / "bernoulli", cors_origins=(PAGE,), api_keys_file=path
    ) as served:
        yield served


def varies(answer: httpx.Response) -> bool:
    """Say whether a cache must keep the answers to different origins apart."""
    return "origin" in answer.headers.get("vary", "").lower().split(", ")


def test_nothing_is_said_unless_origins_are_named(bernoulli: Served) -> None:
    """Without the setting, no header of the protocol is ever sent."""
    for method, path in (("GET", "/sample"), ("GET", "/model"), ("OPTIONS", "/encode")):
        answer = bernoulli.request(method, path, headers={"origin": PAGE, **ASKING})

        assert not any(name.startswith("access-control") for name in answer.headers)
        assert "timing-allow-origin" not in answer.headers
        assert not varies(answer)


@pytest.mark.parametrize("path", ["/encode", "/sample", "/model", "/nope"])
def test_a_preflight_is_answered_without_a_key(shared: Served, path: str) -> None:
    """For operations and all else; a browser sends no key with it."""
    answer = shared.request("OPTIONS", path, headers={"origin": PAGE, **ASKING})

    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "x-request-id"} <= set(allowed)
    assert {"traceparent", "tracestate", "x-requested-with"} <= set(allowed)
    assert answer.headers["access-control-max-age"] == "600"
    assert varies(answer)


@pytest.mark.parametrize("path", ["/sample", "/model", "/nope"])
@pytest.mark.parametrize("key", [KEY, "wrong"])
def test_a_page_sees_the_answers_and_the_errors(
    shared: Served, path: str, key: str
) -> None:
    """Origin and exposed headers are on every answer, 401 and 404 among them."""
    headers = {"origin": PAGE, "authorization": f"Bearer {key}"}

    answer = shared.get(path, headers=headers)

    assert (answer.status_code == 401) == (key != KEY)
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-expose-headers"] == EXPOSED
    assert answer.headers["timing-allow-origin"] == PAGE
    assert "total;dur=" in answer.headers["server-timing"]
    assert "access-control-allow-credentials" not in answer.headers
    assert varies(answer)


@pytest.mark.parametrize("origin", [OTHER, "null", PAGE + ":444", PAGE.upper(), ""])
def test_other_origins_are_told_nothing(shared: Served, origin: str) -> None:
    """Their preflights need a key like any request; answers vary by origin."""
    headers = {"origin": origin, "authorization": f"Bearer {KEY}"}

    preflight = shared.request("OPTIONS", "/encode", headers={**ASKING, **headers})
    without_key = shared.request(
        "OPTIONS", "/encode", headers={"origin": origin, **ASKING}
    )
    answer = shared.get("/sample", headers=headers)

    assert_problem(preflight, 405)
    assert_problem(without_key, 401)
    assert answer.status_code == 200
    for one in (preflight, without_key, answer):
        assert not any(name.startswith("access-control") for name in one.headers)
        assert "timing-allow-origin" not in one.headers
        assert varies(one)


def logged(served: Served, requests: list[tuple[str, dict[str, str]]]) -> None:
    """Send requests to `/encode`."""
    served.together((method, "/encode", {"headers": h}) for method, h in requests)


@pytest.mark.parametrize("origins", [(), (PAGE,)])
def test_a_refused_page_is_explained_in_the_405_and_once_in_the_log(
    checkpoints: Path, caplog: pytest.LogCaptureFixture, origins: tuple[str, ...]
) -> None:
    """The setting is named; the page's origin, which a client sent, is not repeated."""
    foreign = {"origin": OTHER, "sec-fetch-mode": "cors"}
    with Served(checkpoints / "bernoulli", cors_origins=origins) as served:
        own = {**foreign, "sec-fetch-site": "same-origin"}
        logged(served, [("POST", own), ("GET", {}), ("OPTIONS", {})])
        quiet = list(caplog.records)
        refused = served.request(
            "OPTIONS", "/encode", headers={"origin": OTHER, **ASKING}
        )
        simple = {**foreign, "sec-fetch-site": "cross-site"}
        logged(served, [("OPTIONS", {"origin": OTHER, **ASKING}), ("GET", simple)])
        plain = served.request("OPTIONS", "/encode")

    assert quiet == []
    detail = assert_problem(refused, 405)["detail"]
    said = "expected POST, got OPTIONS, from a page whose origin is not in "
    assert detail == f"{said}VAE_CORS_ORIGINS"
    assert assert_problem(plain, 405)["detail"] == "expected POST, got OPTIONS"
    [record] = caplog.records
    assert "VAE_CORS_ORIGINS" in record.getMessage()
    assert OTHER not in record.getMessage()


def test_a_simple_request_of_a_refused_page_is_logged_too(
    checkpoints: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It needs no preflight; the browser keeps its response from the page."""
    headers = {
        "origin": OTHER,
        "sec-fetch-mode": "cors",
        "sec-fetch-site": "cross-site",
    }
    with Served(checkpoints / "bernoulli") as served:
        answer = served.get("/sample", headers=headers)

    assert answer.status_code == 200
    assert ["VAE_CORS_ORIGINS" in r.getMessage() for r in caplog.records] == [True]


def test_a_star_is_every_origin(checkpoints: Path) -> None:
    """The answer is then the same for all, and does not vary by origin."""
    with Served(checkpoints / "bernoulli", cors_origins=("*",)) as served:
        preflight = served.request(
            "OPTIONS", "/elbo", headers={"origin": OTHER, **ASKING}
        )
        answer = served.get("/sample", headers={"origin": OTHER})

    for one in (preflight, answer):
        assert one.status_code == 200
        assert one.headers["access-control-allow-origin"] == "*"
        assert not varies(one)
