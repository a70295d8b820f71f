"""
The service behind nginx, with TLS and a prefix, as `deploy/nginx/vae.conf` sets it up.

nginx is Debian's. A browser walks the page and the documentation, and every address,
redirect and snippet must work under the prefix.
"""

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

import httpx
import pytest

from tests.app.explorer.explored import PANELS, save, settled
from tests.app.processes import ROOT, process, until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = ROOT / "deploy/nginx/vae.conf"
PREFIX = "/vae"
CLIENT = "127.0.0.2"  # another address of this machine than that of nginx
SECONDS = 60

pytestmark = [
    pytest.mark.external,
    pytest.mark.slow("starts processes"),
    pytest.mark.skipif(NGINX is None, reason="nginx is absent"),
]


class Proxied(NamedTuple):
    """A service behind nginx: its URL, the certificate, and its access log."""

    url: str
    plain_url: str
    certificate: Path
    running: "subprocess.Popen[str]"

    def client(self) -> httpx.Client:
        """Return a client that trusts the certificate."""
        verify = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(verify=verify, timeout=SECONDS)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def certificate(folder: Path) -> None:
    """Write a certificate for localhost, and its key."""
    options = "-x509 -newkey rsa:2048 -nodes -keyout vae.key -out vae.crt -days 2"
    name = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(
        ["bash", "-c", f"openssl req {options} {name}"],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def configuration(folder: Path, address: str, ports: tuple[int, int], end: str) -> str:
    """Return the example for these ports, and what nginx needs around it."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    for before, after in (
        ("server 127.0.0.1:8000;", f"server {address.removeprefix('http://')};"),
        ("vae.example.org", "localhost"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{ports[0]} ssl;"),
        ("listen 80;", f"listen 127.0.0.1:{ports[1]};"),
        ("/etc/nginx/vae.", f"{folder}/vae."),
        ("proxy_pass http://vae/;", f"proxy_pass http://vae{end};"),
    ):
        assert before in text
        text = text.replace(before, after)
    folders = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"pid {folder}/nginx.pid; error_log {folder}/error.log; daemon off;\n"
        f"events {{}}\nhttp {{ access_log off; {folders}\n{text}}}\n"
    )


def listens(port: int) -> bool:
    """Say whether anything listens on a port."""
    with socket.socket() as connecting:
        return connecting.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=["/", ""], ids=["removed", "kept"])
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    """Serve digits behind nginx, which removes the prefix or keeps it."""
    folder = tmp_path_factory.mktemp("nginx")
    certificate(folder)
    settings = {
        "VAE_CHECKPOINT": str(save(folder, "pictures")),
        "VAE_ROOT_PATH": PREFIX,
        "VAE_ALLOWED_HOSTS": "localhost",
        "VAE_ACCESS_LOG": "true",
        "VAE_ACCESS_LOG_CLIENT": "true",
    }
    assert NGINX is not None
    ports = (free_port(), free_port())
    with process(settings) as (address, running):
        text = configuration(folder, address, ports, request.param)
        (folder / "nginx.conf").write_text(text)
        command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as nginx:
            try:
                until(lambda: listens(ports[0]) or nginx.poll() is not None)
                yield Proxied(
                    f"https://localhost:{ports[0]}{PREFIX}/",
                    f"http://localhost:{ports[1]}{PREFIX}/",
                    folder / "vae.crt",
                    running,
                )
            finally:
                nginx.terminate()
                nginx.wait(SECONDS)


class Walk(NamedTuple):
    """A page in the browser, what it complained of, and what it asked for."""

    page: Any
    complaints: list[str]
    requested: list[str]


@pytest.fixture
def walk(browser: Any) -> Iterator[Walk]:
    """Return a page that notes what fails; the certificate signs itself."""
    context = browser.new_context(
        ignore_https_errors=True, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    page.set_default_timeout(1000 * SECONDS)
    complaints: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    yield Walk(page, complaints, requested)
    context.close()


def is_below(proxied: Proxied, url: str) -> bool:
    """Say whether an address is one of the service, as the browser sees it."""
    return url.startswith((proxied.url, "data:", f"blob:{proxied.url[:-5]}"))


def test_every_redirect_stays_below_the_prefix(proxied: Proxied) -> None:
    """To https, to the slash, and from a slash too many, with method and query."""
    with proxied.client() as client:
        plain = client.get(f"{proxied.plain_url}docs")
        bare = client.get(proxied.url.rstrip("/"))
        for path in ("docs/", "sample/?n=2&seed=3", "livez/", "decode/"):
            asked = urljoin(proxied.url, path)
            method = "POST" if path == "decode/" else "GET"
            body: dict[str, Any] = {}
            if method == "POST":
                body["json"] = {"z": [[0.0] * 10]}
            first = client.request(method, asked, **body)
            followed = client.request(method, asked, follow_redirects=True, **body)
            assert first.status_code == 308
            assert followed.status_code == 200, path
            assert str(followed.url) == asked.replace("/?", "?").rstrip("/")

    assert plain.headers["location"] == f"https://localhost{PREFIX}/docs"
    assert bare.headers["location"] == f"{PREFIX}/"


def test_every_link_of_the_pages_is_answered(proxied: Proxied) -> None:
    """All that page and documentation refer to is below the prefix."""
    with proxied.client() as client:
        found = {proxied.url, urljoin(proxied.url, "docs")}
        for url in sorted(found):
            html = client.get(url).text
            links = re.findall(r'(?:href|src)="([^"#]+)"', html)
            found |= {urljoin(url, link) for link in links}
        statuses = {url: client.get(url).status_code for url in found}
        document = client.get(urljoin(proxied.url, "openapi.json")).json()

    assert len(found) > 6
    assert all(is_below(proxied, url) for url in found)
    assert set(statuses.values()) == {200}
    assert document["servers"] == [{"url": PREFIX}]


def test_long_texts_come_compressed_through_it(proxied: Proxied) -> None:
    """What the service compressed is passed on, and the tag of each encoding."""
    with proxied.client() as client:
        url = urljoin(proxied.url, "docs/swagger-ui-bundle.js")
        zipped = client.get(url, headers={"accept-encoding": "gzip"})
        again = client.get(
            url,
            headers={
                "accept-encoding": "gzip",
                "if-none-match": zipped.headers["etag"],
            },
        )
        sample = client.get(urljoin(proxied.url, "sample?n=2000&seed=3"))

    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["etag"].endswith('-gzip"')
    assert again.status_code == 304
    assert sample.headers["content-encoding"] == "gzip"
    assert len(sample.json()["x"]) == 2000


def test_the_page_and_its_snippets_work(
    proxied: Proxied, walk: Walk, tmp_path: Path
) -> None:
    """It loads without a complaint; every curl and Python that it shows runs."""
    page = walk.page
    page.goto(proxied.url)
    page.wait_for_selector("#scale svg")
    settled(page)
    copied = snippets(page)

    assert walk.complaints == []
    assert all(is_below(proxied, url) for url in walk.requested)
    assert len(copied) == 2 * len(PANELS)
    for name, text in copied:
        assert proxied.url.rstrip("/") in text
        command = (
            curl(text, proxied) if name == "curl" else [sys.executable, "-c", text]
        )
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            env={
                "PATH": "/usr/bin:/bin",
                "SSL_CERT_FILE": str(proxied.certificate),
                "PYTHONPATH": str(ROOT / "client"),
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ended.returncode == 0, text + ended.stderr


def snippets(page: Any) -> list[tuple[str, str]]:
    """Return what every panel shows as curl and as Python, whole."""
    found = []
    for panel in PANELS:
        for name in ("curl", "Python"):
            page.locator(f"#{panel}").get_by_text(f"as {name}").click()
            page.locator("#code-copy").click()
            page.get_by_text("Copied.").wait_for()
            text = page.evaluate("navigator.clipboard.readText()")
            found.append((name, text))
            page.locator("#code-close").click()
    return found


def curl(text: str, proxied: Proxied) -> list[str]:
    """Return the command that runs a snippet of curl with the certificate."""
    options = f"curl --silent --fail-with-body --cacert {proxied.certificate} "
    return ["bash", "-ec", text.replace("curl ", options)]


def test_the_documentation_runs_every_call(proxied: Proxied, walk: Walk) -> None:
    """Its requests go below the prefix, by https, and are answered."""
    page = walk.page
    page.goto(urljoin(proxied.url, "docs"))
    page.wait_for_selector(".opblock")
    names = page.locator(".opblock").evaluate_all("all => all.map((one) => one.id)")

    statuses = {}
    for name in names:
        block = page.locator(f"#{name}")
        if "(not with this model)" in block.locator(".opblock-summary").inner_text():
            continue
        block.locator(".opblock-summary-control").click()
        block.locator(".try-out__btn").click()
        block.locator(".execute").click()
        status = block.locator(".live-responses-table .response-col_status").nth(1)
        statuses[name] = status.inner_text().split()[0]
        block.locator(".opblock-summary-control").click()

    assert len(statuses) > 14
    assert set(statuses.values()) == {"200"}
    assert walk.complaints == []
    assert all(is_below(proxied, url) for url in walk.requested)


def test_the_log_has_the_client_that_nginx_reports(proxied: Proxied) -> None:
    """Not the peer of the service's own connection, nor what the client claims."""
    verify = ssl.create_default_context(cafile=str(proxied.certificate))
    transport = httpx.HTTPTransport(verify=verify, local_address=CLIENT)
    with httpx.Client(transport=transport, timeout=SECONDS) as client:
        claim = {"x-forwarded-for": "203.0.113.7"}
        client.get(urljoin(proxied.url, "sample?n=7"), headers=claim)

    assert proxied.running.stdout is not None
    lines = map(json.loads, proxied.running.stdout)
    mine = next(line for line in lines if line["rows"] == 7)
    assert mine["route"] == "/sample"
    assert mine["client"] == CLIENT
