"""Keys and hosts: what may pass and what may not, over ASGI and over sockets."""

import asyncio
import json
import os
import signal
import socket
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route
from starlette.types import Message

from app import main
from app.keys import line_of
from tests import plain_http
from tests.app.processes import process
from tests.app.served import Served, assert_problem

KEY, OTHER_KEY, NEW_KEY = "the-key", "another", "fresh"
BEARER = {"authorization": f"Bearer {KEY}"}
N_WORKERS = 2
MAX_TRIES = 1000
SECONDS = 120


def write_keys(path: Path, keys: Iterable[str]) -> Path:
    """Write a file of keys."""
    path.write_text("".join(f"{line_of(key)}\n" for key in keys))
    return path


@pytest.fixture(scope="module")
def guarded(
    checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve with two keys."""
    path = write_keys(tmp_path_factory.mktemp("keys") / "keys", [KEY, OTHER_KEY])
    with Served(checkpoints / "bernoulli", api_keys_file=path) as served:
        yield served


def every_route(served: Served) -> set[tuple[str, str]]:
    """Return each method and path that the service has."""
    routes = [
        route for route in served.app.framework.routes if isinstance(route, Route)
    ]
    operations = [route for route in routes if isinstance(route, APIRoute)]
    assert {"/encode", "/decode", "/sample", "/elbo"} <= {r.path for r in operations}
    return {(method, route.path) for route in routes for method in route.methods or ()}


def test_nothing_passes_without_a_key_but_the_probes(guarded: Served) -> None:
    """Every method of every route, and what does not exist, is a 401 problem."""
    others = {
        *(("GET", path) for path in ("/nope", "/encode", "/livez/", "/metrics/", "//")),
        *((method, "/livez") for method in ("POST", "OPTIONS", "DELETE")),
        *(("OPTIONS", path) for path in ("/encode", "/sample", "*")),
    }
    paths = ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
    probes = {(m, path) for m in ("GET", "HEAD") for path in paths}
    asked = sorted((every_route(guarded) | others) - probes)

    refused = guarded.together((method, path, {}) for method, path in asked)
    passed = guarded.together((method, path, {}) for method, path in probes)

    assert {("GET", "/docs"), ("GET", "/openapi.json"), ("HEAD", "/sample")} < {*asked}
    for (method, path), response in zip(asked, refused, strict=True):
        assert response.status_code == 401, (method, path)
        assert response.headers["www-authenticate"] == "Bearer"
        if path.startswith("/v2"):
            assert method == "HEAD" or list(response.json()) == ["error"]
        elif method != "HEAD":
            assert_problem(response, 401)
    assert {response.status_code for response in passed} == {200}


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_each_key_opens_everything(guarded: Served, key: str) -> None:
    """With any of the keys the answers are what they are without a guard."""
    headers = {"authorization": f"bEaReR {key}"}
    paths = ("/sample", "/model", "/docs", "/openapi.json", "/metrics", "/nope")

    found = guarded.together(("GET", path, {"headers": headers}) for path in paths)
    encoded = guarded.post("/encode", {"x": [[0.5] * 16]}, headers=headers)

    assert [response.status_code for response in found] == [200] * 5 + [404]
    assert encoded.status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer the-ke",
        b"Bearer the-key2",
        b"Bearer THE-KEY",
        b"Bearer the-key another",
        b"Bearer\tthe-key",
        b"Basic dGhlLWtleTo=",  # as the user, with an empty password
        b"Basic dGhlLWtleQ==",
        b"Basic OnRoZS1rZXk6",
        b"Basic the-key",
        b"Basic OnRoZS1rZXk=!",
        b"Basic \xff",
        b"Basic",
        b"the-key",
        b"Bearer \xff\xfe\x80",
        "Bearer schlüssel".encode(),
        b"\xffearer the-key",
        b"Bearer " + b"a" * 10_000,
        b"Bearer " + line_of(KEY).encode(),
    ],
)
def test_a_header_that_carries_no_key_is_refused(guarded: Served, value: bytes) -> None:
    """Malformed, of another scheme, not ASCII, long, or the digest itself: 401."""
    headers = [(b"authorization", value)]

    for path in ("/sample", "/model"):
        refused = guarded.get(path, headers=headers)

        assert_problem(refused, 401)
        assert KEY not in refused.text


PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def basic(password: str, user: str = "anyone") -> dict[str, str]:
    """Return what a browser sends for a user and a password."""
    pair = b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


@pytest.mark.parametrize("user", ["", "anyone", "zoë"])
def test_a_key_opens_as_the_password_of_any_user(guarded: Served, user: str) -> None:
    """A browser cannot send Bearer for a page; it can ask a person for a password."""
    paths = ("/", "/explorer/main.js", "/docs", "/openapi.json", "/model", "/sample")

    found = [guarded.get(path, headers=basic(KEY, user)) for path in paths]
    wrong = guarded.get("/", headers=basic("the-key:more", user))

    assert [response.status_code for response in found] == [200] * len(paths)
    assert_problem(wrong, 401)


@pytest.mark.parametrize(
    ("method", "headers", "challenge"),
    [
        ("GET", PAGE, 'Basic realm="vae", charset="UTF-8"'),
        ("GET", {**PAGE, **basic("other")}, 'Basic realm="vae", charset="UTF-8"'),
        ("GET", {"accept": "*/*"}, "Bearer"),
        ("GET", {"accept": "application/json"}, "Bearer"),
        ("POST", PAGE, "Bearer"),
        ("HEAD", PAGE, "Bearer"),
    ],
)
def test_only_who_opens_a_page_is_asked_for_a_password(
    guarded: Served, method: str, headers: dict[str, str], challenge: str
) -> None:
    """Programs and scripts get the scheme Bearer, so a fetch opens no dialog."""
    for path in ("/", "/sample", "/nope"):
        refused = guarded.request(method, path, headers=headers)

        assert refused.status_code == 401
        assert refused.headers.get_list("www-authenticate") == [challenge]


def fetched(site: str, mode: str, dest: str) -> dict[str, str]:
    """Return the Fetch Metadata of a browser's request."""
    names = ("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
    return dict(zip(names, (site, mode, dest), strict=True))


@pytest.mark.parametrize(
    ("method", "metadata", "status"),
    [
        ("GET", ("none", "navigate", "document"), 200),
        ("GET", ("same-origin", "cors", "empty"), 200),
        ("POST", ("same-origin", "cors", "empty"), 200),
        ("GET", ("cross-site", "navigate", "document"), 200),  # a link was followed
        ("GET", ("cross-site", "navigate", "iframe"), 401),
        ("GET", ("cross-site", "no-cors", "image"), 401),
        ("GET", ("same-site", "no-cors", "image"), 401),
        ("POST", ("cross-site", "cors", "empty"), 401),
        ("POST", ("cross-site", "navigate", "document"), 401),  # a form was sent
    ],
)
def test_other_sites_cannot_spend_a_browsers_password(
    guarded: Served, method: str, metadata: tuple[str, str, str], status: int
) -> None:
    """What is sent by itself counts for own pages and links; a Bearer always does."""
    headers = fetched(*metadata)
    asked = {"GET": {}, "POST": {"json": {"n": 1}}}[method]

    by_browser = guarded.request(
        method, "/sample", headers=headers | basic(KEY), **asked
    )
    by_script = guarded.request(method, "/sample", headers=headers | BEARER, **asked)

    assert by_browser.status_code == status
    assert by_script.status_code == 200


@pytest.mark.parametrize("last", [b"none", b"same-origin", b"cross-site"])
def test_two_words_on_where_a_request_comes_from_are_not_believed(
    guarded: Served, last: bytes
) -> None:
    """Of two Sec-Fetch-Site neither counts as the service's own."""
    ((_, password),) = basic(KEY).items()
    sent = [
        (b"authorization", password.encode()),
        (b"sec-fetch-site", b"cross-site"),
        (b"sec-fetch-site", last),
        (b"sec-fetch-mode", b"no-cors"),
        (b"sec-fetch-dest", b"image"),
    ]

    assert_problem(guarded.get("/sample", headers=sent), 401)
    assert_problem(guarded.get("/sample", headers=[sent[0], *sent[:0:-1]]), 401)


def test_two_authorizations_are_none(guarded: Served) -> None:
    """What two readers could take for two different keys is refused."""
    twice = [(b"authorization", b"Bearer the-key"), (b"authorization", b"Bearer x")]

    assert_problem(guarded.get("/sample", headers=twice), 401)
    assert_problem(guarded.get("/sample", headers=twice[::-1]), 401)


def test_a_key_in_the_query_is_no_key(guarded: Served) -> None:
    """Targets end up in logs of proxies; only the header counts."""
    assert_problem(guarded.get(f"/sample?access_token={KEY}&key={KEY}"), 401)


@pytest.mark.parametrize("path", ["/encode", "/model", "/nope"])
@pytest.mark.parametrize(
    ("head", "closes"),
    [
        ((b"content-length", b"1000"), True),
        ((b"transfer-encoding", b"chunked"), True),
        ((b"content-length", b"0"), False),
        ((b"accept", b"*/*"), False),
    ],
)
def test_no_body_is_read_before_the_check(
    guarded: Served, path: str, head: tuple[bytes, bytes], *, closes: bool
) -> None:
    """Nothing is received; the connection closes if a body is on its way."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"test"), head],
    }
    guarded.run(guarded.app(scope, receive, send))

    assert sent[0]["status"] == 401
    assert ((b"connection", b"close") in sent[0]["headers"]) == closes


def test_metrics_are_public_if_asked(checkpoints: Path, tmp_path: Path) -> None:
    """The setting opens `/metrics` to read, and nothing else."""
    path = write_keys(tmp_path / "keys", [KEY])
    settings = {"api_keys_file": path, "metrics_public": True}

    with Served(checkpoints / "bernoulli", **settings) as served:
        metrics = served.get("/metrics")
        others = [served.get("/model"), served.request("POST", "/metrics")]
        document = served.get("/openapi.json", headers=BEARER).json()

    assert metrics.status_code == 200
    assert [other.status_code for other in others] == [401, 401]
    assert 'vae_rejected_total{reason="unauthorized"}' not in metrics.text
    assert document["paths"]["/metrics"]["get"]["security"] == []


def test_the_document_says_what_needs_a_key(guarded: Served, bernoulli: Served) -> None:
    """Bearer or Basic for all but the probes, and 401 among the errors."""
    document = guarded.get("/openapi.json", headers=BEARER).json()
    plain = bernoulli.get("/openapi.json").json()

    schemes = document["components"]["securitySchemes"]
    found = {name: (one["type"], one["scheme"]) for name, one in schemes.items()}
    assert found == {"key": ("http", "bearer"), "password": ("http", "basic")}
    assert document["security"] == [{"key": []}, {"password": []}]
    for path, item in document["paths"].items():
        for entry in item.values():
            is_public = path in {"/livez", "/readyz"}
            assert entry.get("security") == ([] if is_public else None)
            assert ("401" in entry["responses"]) != is_public
    assert "security" not in plain
    assert "securitySchemes" not in plain["components"]


def test_refusals_are_counted(checkpoints: Path, tmp_path: Path) -> None:
    """Calls by their path, what is unknown as `other`, both as unauthorized."""
    path = write_keys(tmp_path / "keys", [KEY])

    with Served(checkpoints / "bernoulli", api_keys_file=path) as served:
        for refused in ("/sample", "/model", "/nope"):
            served.get(refused)
        lines = served.get("/metrics", headers=BEARER).text.splitlines()

    assert 'vae_requests_total{route="/sample",status="401"} 1.0' in lines
    assert 'vae_requests_total{route="/model",status="401"} 1.0' in lines
    assert 'vae_requests_total{route="other",status="401"} 1.0' in lines
    assert 'vae_rejected_total{reason="unauthorized"} 3.0' in lines


def test_a_bad_file_ends_the_start(
    checkpoints: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line and status 3, as every start that fails."""
    (tmp_path / "keys").write_text("secret\n")
    monkeypatch.setenv("VAE_CHECKPOINT", str(checkpoints / "bernoulli"))
    monkeypatch.setenv("VAE_API_KEYS_FILE", str(tmp_path / "keys"))

    with pytest.raises(SystemExit) as raised:
        main.from_environment()

    printed = capsys.readouterr().err
    assert raised.value.code == 3
    assert printed.startswith("error: VAE_API_KEYS_FILE: expected a SHA-256")
    assert printed.count("\n") == 1
    assert "secret" not in printed


def test_a_hangup_has_the_keys_reread(
    checkpoints: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """New keys open and old ones no more; a bad file is logged and changes nothing."""
    path = write_keys(tmp_path / "keys", [KEY])

    async def hang_up() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)

    def statuses() -> list[int]:
        headers = [{"authorization": f"Bearer {key}"} for key in (KEY, NEW_KEY)]
        return [served.get("/model", headers=one).status_code for one in headers]

    with Served(checkpoints / "bernoulli", api_keys_file=path) as served:
        assert statuses() == [200, 401]
        write_keys(path, [NEW_KEY])
        served.run(hang_up())
        assert any(statuses() == [401, 200] for _ in range(MAX_TRIES))
        path.write_text("not a digest\n")
        served.run(hang_up())
        assert any(statuses() and caplog.records for _ in range(MAX_TRIES))
        assert statuses() == [401, 200]

    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("the access keys are unchanged: ")
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def refusal(address: str, head: bytes) -> bytes:
    """Send a head with no body; return all that comes until the connection closes."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connected:
        connected.sendall(b"POST /encode HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
        came = b""
        while piece := connected.recv(1 << 16):
            came += piece
    return came


@pytest.mark.slow("starts processes")
def test_workers_are_guarded_and_tell_every_request(
    checkpoints: Path, tmp_path: Path
) -> None:
    """SIGHUP reaches all workers; the log has each request on a whole line."""
    path = write_keys(tmp_path / "keys", [KEY])
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_WORKERS": str(N_WORKERS),
        "VAE_API_KEYS_FILE": str(path),
        "VAE_ACCESS_LOG": "true",
    }
    headers = {"authorization": f"Bearer {NEW_KEY}"}
    statuses: list[int] = []

    with process(settings) as (address, running):
        long = refusal(address, b"Content-Length: 50000000\r\n")
        raw = refusal(
            address, b"Authorization: Bearer \xe9\r\nTransfer-Encoding: chunked\r\n"
        )
        write_keys(path, [NEW_KEY])
        running.send_signal(signal.SIGHUP)
        while statuses[-30:].count(200) < 30 and len(statuses) < MAX_TRIES:
            answer = plain_http.get(
                f"{address}/sample", headers=headers, timeout=SECONDS
            )
            statuses.append(answer.status_code)
        running.send_signal(signal.SIGTERM)
        assert running.stdout is not None
        lines = [json.loads(line) for line in running.stdout]

    for came in (long, raw):
        assert came.startswith(b"HTTP/1.1 401 ")
        assert b"www-authenticate: Bearer\r\n" in came
        assert b"connection: close\r\n" in came
    assert set(statuses) <= {401, 200}
    assert statuses[-30:] == [200] * 30
    assert running.returncode == 0
    assert sorted(line["status"] for line in lines) == sorted([401, 401, *statuses])
    assert sum(line["rows"] for line in lines) == statuses.count(200)


def test_only_requests_for_known_hosts_are_answered(checkpoints: Path) -> None:
    """A Host is compared without port and case; probes come by address."""
    hosts = ("vae.example.org", "[::1]")
    asked = {
        "vae.example.org": 200,
        "VAE.Example.org:8000": 200,
        "[::1]": 200,
        "[::1]:8000": 200,
        "evil.example.org": 421,
        "vae.example.org.evil": 421,
        "vae.example.org:80x": 421,
        "": 421,
    }

    with Served(checkpoints / "bernoulli", allowed_hosts=hosts) as served:
        for host, status in asked.items():
            for path in ("/sample", "/model"):
                answer = served.get(path, headers={"host": host})
                assert answer.status_code == status, (host, path)
                if status != 200:
                    assert_problem(answer, status)
        probes = [served.get(path) for path in ("/livez", "/readyz")]
        document = served.get("/openapi.json", headers={"host": hosts[0]}).json()

    assert [probe.status_code for probe in probes] == [200, 200]
    assert "421" in document["paths"]["/encode"]["post"]["responses"]
