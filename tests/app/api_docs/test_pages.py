"""The API's page is made of our own files, and is allowed nothing else."""

import re
from base64 import b64encode
from hashlib import sha256, sha384

import pytest

from app.api_docs import pages
from app.http.static_files import INDEX
from tests.app.served import Served, assert_problem

FILES = pages.files()
OURS = {INDEX, "start.js", "icon.svg"}
# SHA-256 of files of npm's swagger-ui-dist 5.35.0, whose package has the integrity
# sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3
# sU8yVUQ==.
VENDORED = {
    "swagger-ui-bundle.js": (
        "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2"
    ),
    "swagger-ui-bundle.js.LICENSE.txt": (
        "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb"
    ),
    "swagger-ui.css": (
        "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d"
    ),
}


def page() -> str:
    """Return the page."""
    return FILES[INDEX].content.decode()


def directives(policy: str) -> dict[str, list[str]]:
    """Return a Content-Security-Policy by its directives."""
    words = [directive.split() for directive in policy.split(";")]
    return {name: sources for name, *sources in words}


def test_swagger_ui_is_unchanged() -> None:
    """What was vendored is byte for byte what its authors published."""
    assert FILES.keys() == OURS | VENDORED.keys()
    for name, digest in VENDORED.items():
        assert sha256(FILES[name].content).hexdigest() == digest, name


def test_a_browser_checks_swagger_ui_too() -> None:
    """The page names the hash of the vendored style and script."""
    named = re.findall(r'="docs/([\w.-]+)"\s+integrity="([\w+/=-]+)"', page())

    assert {name for name, _ in named} == {"swagger-ui-bundle.js", "swagger-ui.css"}
    for name, integrity in named:
        digest = b64encode(sha384(FILES[name].content).digest()).decode()
        assert integrity == f"sha384-{digest}"


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_is_served_under_a_strict_policy(
    bernoulli: Served, name: str
) -> None:
    """Scripts and styles come from this service alone, none of them inline."""
    response = bernoulli.get("/docs" if name == INDEX else f"/docs/{name}")
    allowed = directives(response.headers["content-security-policy"])

    assert response.content == FILES[name].content
    assert allowed["default-src"] == ["'none'"]
    assert allowed["script-src"] == allowed["style-src"] == ["'self'"]
    assert allowed["connect-src"] == ["'self'"]
    assert allowed["img-src"] == ["'self'", "data:", "blob:"]
    assert allowed["frame-ancestors"] == ["'none'"]
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"


def test_what_we_wrote_names_no_other_host() -> None:
    """Neither the page nor its script, and every address is relative."""
    for name in (INDEX, "start.js"):
        assert not re.search(r"https?:|[\"']//", FILES[name].content.decode())
    linked = re.findall(r'(?:src|href)="([^"]+)"', page())
    assert {link for link in linked if not link.startswith("docs/")} == {"openapi.json"}
    assert all(link.removeprefix("docs/") in FILES for link in linked[:-1])


def test_the_page_finds_its_document_behind_a_prefix() -> None:
    """The document's address is relative to the page."""
    assert 'url: "./openapi.json"' in FILES["start.js"].content.decode()


def test_nothing_else_is_served(bernoulli: Served) -> None:
    """There are the page's files, and no others."""
    assert_problem(bernoulli.get("/docs/pages.py"), 404)
    assert_problem(bernoulli.get("/docs/..%2Fpages.py"), 404)


def test_types_are_not_guessed(bernoulli: Served) -> None:
    """Whatever a browser may show, it takes for what it is said to be."""
    for path in ("/", "/docs", "/openapi.json", "/model", "/metrics", "/nope"):
        headers = bernoulli.get(path).headers

        assert headers["x-content-type-options"] == "nosniff", path
