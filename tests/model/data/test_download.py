"""Downloads: verified before they appear, and passed from mirror to mirror."""

import hashlib
import io
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tqdm import tqdm

from model.data import download
from model.files import DataError

CONTENT = bytes(range(256)) * 1000


class Mirrors(BaseHTTPRequestHandler):
    """Folders of one server that behave as mirrors do on good and bad days."""

    def do_GET(self) -> None:
        """Answer by the first part of the path."""
        mirror = self.path.split("/")[1]
        if mirror == "missing":
            self.send_error(404)
            return
        content = b"captive portal" if mirror == "wrong" else CONTENT
        self.send_response(200)
        if mirror != "cut-unannounced":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut = len(content) // 2 if mirror.startswith("cut") else len(content)
        self.wfile.write(content[:cut])

    def log_message(self, *args: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the mirrors on a free port of this machine, around any proxy."""
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirrors) as server:
        thread = threading.Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def verify(path: Path) -> None:
    """Accept the content that was wanted."""
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    if got != hashlib.sha256(CONTENT).hexdigest():
        raise DataError(f"wrong checksum {got[:8]}")


def fetch(url: str, directory: Path, *mirrors: str) -> Path:
    """Fetch file.gz from the mirrors of the server."""
    return download.fetch(
        "file.gz",
        mirrors=[f"{url}{mirror}/" for mirror in mirrors],
        directory=directory,
        verify=verify,
    )


def test_a_good_file_arrives_whole_and_alone(url: str, tmp_path: Path) -> None:
    """The content is the mirror's, in a directory made for it, and nothing is left."""
    path = fetch(url, tmp_path / "a" / "b", "good")

    assert path == tmp_path / "a" / "b" / "file.gz"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_verified_beside_its_place(url: str, tmp_path: Path) -> None:
    """The temporary file is hidden, and on the file system where a rename is atomic."""
    seen: list[Path] = []

    download.fetch(
        "file.gz", mirrors=[f"{url}good/"], directory=tmp_path, verify=seen.append
    )

    assert [path.parent for path in seen] == [tmp_path]
    assert seen[0].name.startswith(".file.gz.")


@pytest.mark.parametrize("bad", ["wrong", "missing", "cut", "cut-unannounced"])
def test_the_next_mirror_is_asked_after_a_bad_one(
    url: str, tmp_path: Path, bad: str
) -> None:
    """A wrong file, a 404 and a cut connection do not stop the download."""
    path = fetch(url, tmp_path, bad, "good")

    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("wrong", "wrong checksum"),
        ("missing", "HTTP Error 404"),
        ("cut", "128000 of 256000 bytes|IncompleteRead"),
        ("cut-unannounced", "wrong checksum"),
    ],
)
def test_a_bad_file_never_appears(
    url: str, tmp_path: Path, bad: str, fault: str
) -> None:
    """The error names the address and the fault, and says how to go on without."""
    with pytest.raises(DataError, match=fault) as caught:
        fetch(url, tmp_path, bad)

    assert f"{url}{bad}/file.gz: " in str(caught.value)
    assert "--data-dir" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_download_leaves_the_old_file_alone(url: str, tmp_path: Path) -> None:
    """What stood under the name before stands there after a failure."""
    (tmp_path / "file.gz").write_bytes(b"old")

    with pytest.raises(DataError):
        fetch(url, tmp_path, "wrong")

    assert (tmp_path / "file.gz").read_bytes() == b"old"


def test_an_endless_download_is_stopped(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More bytes than any wanted file has are not written to disk."""
    monkeypatch.setattr(download, "MAX_BYTES", 1000)

    with pytest.raises(DataError, match="more than 1000 bytes came"):
        fetch(url, tmp_path, "good")


def test_a_server_that_is_not_there_is_an_error(url: str, tmp_path: Path) -> None:
    """A refused connection is reported as a sentence, not as a traceback of sockets."""
    with pytest.raises(DataError, match=r"could not download file.gz .*refused"):
        download.fetch(
            "file.gz",
            mirrors=["http://127.0.0.1:1/"],
            directory=tmp_path,
            verify=verify,
        )


def test_without_a_folder_to_write_the_way_around_is_named(
    url: str, tmp_path: Path
) -> None:
    """A read-only home in a container is not the point; a mount is what helps."""
    (tmp_path / "file").write_text("")

    with pytest.raises(DataError, match=r"no folder to download file\.gz to") as caught:
        fetch(url, tmp_path / "file" / "cache", "good")

    assert "--volume FOLDER:/data:ro, and --data-dir /data" in str(caught.value)


def test_the_bar_is_for_terminals(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal sees the name of the file; a log sees nothing."""
    terminal, log = io.StringIO(), io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # no thread of its own

    for stderr in (terminal, log):
        monkeypatch.setattr(sys, "stderr", stderr)
        fetch(url, tmp_path, "good")

    assert "file.gz: 100%" in terminal.getvalue()
    assert log.getvalue() == ""
