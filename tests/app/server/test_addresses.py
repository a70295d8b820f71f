"""Where a service listens: addresses of both families, and Unix sockets."""

import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.server import addresses
from app.server.startup import StartError
from tests import plain_http
from tests.app.processes import SECONDS, health_of_socket, process

HAS_IPV6 = socket.has_dualstack_ipv6()


def port_of(bound: socket.socket) -> int:
    """Return the port that a socket got."""
    port: int = bound.getsockname()[1]
    return port


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Close the sockets of a test."""
    sockets: list[socket.socket] = []
    yield sockets
    for bound in sockets:
        bound.close()


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_all_addresses_are_those_of_ipv4_too(opened: list[socket.socket]) -> None:
    """`::` is one socket that both families reach."""
    opened += addresses.bind("::", 0)
    addresses.listen(opened)

    [bound] = opened
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port_of(bound)), SECONDS) as connected:
            assert connected.getpeername()[1] == port_of(bound)
    assert addresses.lines(opened) == [f"listening on http://[::]:{port_of(bound)}"]


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_one_address_of_ipv6_is_only_that(opened: list[socket.socket]) -> None:
    """Loopback of IPv6 does not listen on that of IPv4."""
    opened += addresses.bind("::1", 0)
    addresses.listen(opened)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(opened[0])), SECONDS)


def test_a_socket_s_file_is_made_and_replaced(
    tmp_path: Path, opened: list[socket.socket]
) -> None:
    """One that a killed service has left is replaced; one that is served is not."""
    path = tmp_path / "vae.sock"
    addresses.bind_unix(path).close()
    opened.append(addresses.bind_unix(path))
    addresses.listen(opened)

    with pytest.raises(StartError, match=r"vae\.sock: Address already in use"):
        addresses.bind_unix(path)
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert addresses.lines(opened) == [f"listening on unix:{path}"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the sockets")
def test_the_socket_of_a_service_that_still_loads_is_not_replaced(
    tmp_path: Path, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not listen yet, so it refuses clients as a socket left behind does."""
    path = tmp_path / "a vae.sock"
    opened.append(addresses.bind_unix(path))
    monkeypatch.chdir(tmp_path)

    for same in (path, Path(path.name)):
        with pytest.raises(StartError, match=r"vae\.sock: Address already in use"):
            addresses.bind_unix(same)

    addresses.listen(opened)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_the_socket_of_a_service_that_only_drains_is_replaced(
    tmp_path: Path, opened: list[socket.socket]
) -> None:
    """Connections that it still answers have its path, but none is accepted there."""
    path = tmp_path / "vae.sock"
    listening = addresses.bind_unix(path)
    addresses.listen([listening])
    opened.append(socket.socket(socket.AF_UNIX))
    opened[0].connect(str(path))
    opened.append(listening.accept()[0])
    listening.close()

    opened.append(addresses.bind_unix(path))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "a file, or a directory, that is no socket"),
        (".", "a file, or a directory, that is no socket"),
        ("none/vae.sock", "No such file or directory"),
        ("a" * 200, "path too long"),
    ],
)
def test_what_cannot_be_a_socket_is_one_sentence(
    tmp_path: Path, name: str, why: str
) -> None:
    """A file is not overwritten; a directory must exist; a path has a length."""
    (tmp_path / "file").write_text("precious")

    with pytest.raises(StartError, match=f"cannot listen on the socket .*{why}"):
        addresses.bind_unix(tmp_path / name)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("n_workers", ["1", "2"])
def test_a_unix_socket_is_served_and_removed(
    checkpoints: Path, tmp_path: Path, n_workers: str
) -> None:
    """By one process and by several; nothing listens on a port."""
    path = tmp_path / "vae.sock"
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_WORKERS": n_workers,
        "VAE_UDS": str(path),
    }

    with process(settings) as (address, running):
        transport = httpx.HTTPTransport(uds=str(path))
        with plain_http.Client(transport=transport, base_url="http://vae") as client:
            ready = client.get("/readyz", timeout=SECONDS)
            encoded = client.post("/encode", json={"x": [[0.5] * 16] * 4000})
        healthy = health_of_socket(path)

    assert address == f"unix:{path}"
    assert ready.status_code == 200
    assert len(encoded.json()["mu"]) == 4000
    assert healthy == 0
    assert running.returncode == 0
    assert not os.path.lexists(path)


@pytest.mark.slow("starts processes")
@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
@pytest.mark.parametrize("n_workers", ["1", "2"])
@pytest.mark.parametrize("host", ["::", "[::1]"])
def test_ipv6_is_alike_with_one_worker_and_two(
    checkpoints: Path, n_workers: str, host: str
) -> None:
    """`::` answers IPv4 too; an address may be in brackets."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_WORKERS": n_workers,
        "VAE_HOST": host,
    }

    with process(settings) as (address, _):
        port = address.rpartition(":")[2]
        hosts = ["[::1]", "127.0.0.1"] if host == "::" else ["[::1]"]
        answers = [
            plain_http.get(f"http://{one}:{port}/readyz", timeout=SECONDS)
            for one in hosts
        ]

    assert address == f"http://[{host.strip('[]')}]:{port}"
    assert [answer.status_code for answer in answers] == [200] * len(hosts)
