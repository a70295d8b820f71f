"""The API's page is allowed to load what it needs and nothing else."""

import re
from base64 import b64encode
from hashlib import sha256

from tests.app.served import Served


def directives(policy: str) -> dict[str, list[str]]:
    """Return a Content-Security-Policy by its directives."""
    words = [directive.split() for directive in policy.split(";")]
    return {name: sources for name, *sources in words}


def test_the_page_may_run_its_own_scripts_only(bernoulli: Served) -> None:
    """Its one inline script is allowed by hash, what it loads by host."""
    page = bernoulli.get("/docs")
    allowed = directives(page.headers["content-security-policy"])

    [script] = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    loaded = re.findall(r'(?:src|rel="stylesheet" href)="(https://[^/]+)', page.text)
    assert allowed["default-src"] == ["'none'"]
    assert allowed["script-src"] == ["https://cdn.jsdelivr.net", f"'sha256-{digest}'"]
    assert len(loaded) == 2
    assert set(loaded) == {"https://cdn.jsdelivr.net"}
    assert {"'self'", "data:", "blob:"} < set(allowed["img-src"])
    assert allowed["frame-ancestors"] == ["'none'"]
    assert page.headers["x-frame-options"] == "DENY"


def test_the_page_finds_its_document_behind_a_prefix(bernoulli: Served) -> None:
    """The document's address is relative to the page."""
    assert "url: './openapi.json'" in bernoulli.get("/docs").text


def test_types_are_not_guessed(bernoulli: Served) -> None:
    """Whatever a browser may show, it takes for what it is said to be."""
    for path in ("/", "/docs", "/openapi.json", "/model", "/metrics", "/nope"):
        headers = bernoulli.get(path).headers

        assert headers["x-content-type-options"] == "nosniff", path
