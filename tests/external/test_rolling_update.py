"""
Services behind nginx are replaced under load as in Kubernetes: no request is lost.

Signals and times are those of the manifests in `deploy/kubernetes`. As in a cluster, a
new pod becomes ready, the old one gets SIGTERM, and the proxy learns of both later.
"""

import http.client
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from time import monotonic

import httpx
import pytest
import yaml

from tests.app.processes import ROOT, environment, start_lines, until
from tests.tiny import save_tiny, tiny_config, tiny_vae

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
DEPLOYMENT = ROOT / "deploy/kubernetes/base/deployment.yaml"
N_REPLACED = 20
N_CLIENTS = 4
LATE_SECONDS = 1.0  # what a proxy of a cluster may need to learn of a change
SECONDS = 120

pytestmark = [
    pytest.mark.external,
    pytest.mark.slow("starts processes"),
    pytest.mark.skipif(NGINX is None, reason="nginx is absent"),
]


class Pod:
    """One service, with the settings and the grace period of the manifest."""

    def __init__(self, checkpoint: Path) -> None:
        pod = yaml.safe_load(DEPLOYMENT.read_text(encoding="utf-8"))
        pod = pod["spec"]["template"]["spec"]
        [container] = pod["containers"]
        given = {one["name"]: one["value"] for one in container["env"]}
        given |= {"VAE_ACCESS_LOG": "false", "VAE_CHECKPOINT": str(checkpoint)}
        self.grace = float(pod["terminationGracePeriodSeconds"])
        self._running = subprocess.Popen(
            (sys.executable, "-m", "app"),
            cwd=ROOT,
            env=environment(given),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._running.stdout is not None
        *_, line = start_lines(self._running.stdout)
        self.address = line.removeprefix("listening on http://")
        url = f"http://{self.address}/readyz"
        until(lambda: httpx.get(url, timeout=SECONDS).status_code == 200)

    def terminate(self) -> None:
        """Ask it to stop."""
        self._running.send_signal(signal.SIGTERM)

    def status(self) -> int:
        """Return the exit status; the cluster kills it after the grace period."""
        status = self._running.wait(self.grace)
        self.kill()
        return status

    def kill(self) -> None:
        """End it at once."""
        self._running.kill()
        self._running.wait(SECONDS)
        assert self._running.stdout is not None
        self._running.stdout.close()


class Proxy:
    """nginx in front of the pods that it knows of."""

    def __init__(self, folder: Path, pods: list[Pod]) -> None:
        self._folder = folder
        self._socket = folder / "nginx.sock"
        self.point_to(pods)
        assert NGINX is not None
        self._command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        self._running = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        until(self._socket.exists)

    def point_to(self, pods: list[Pod]) -> None:
        """Write the configuration for these pods."""
        servers = "".join(f"server {pod.address};" for pod in pods)
        folders = "".join(
            f"{kind}_temp_path {self._folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self._folder / "nginx.conf").write_text(
            f"pid {self._folder}/nginx.pid; error_log {self._folder}/error.log;"
            f" daemon off; events {{}}\nhttp {{ access_log off; {folders}\n"
            f"upstream vae {{ {servers} keepalive 16; }}\n"
            f"server {{ listen unix:{self._socket}; location / {{\n"
            'proxy_http_version 1.1; proxy_set_header Connection "";\n'
            "proxy_next_upstream off; proxy_pass http://vae; }}}\n"
        )

    def reload(self) -> None:
        """Have nginx read its configuration."""
        self._running.send_signal(signal.SIGHUP)

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection to it."""
        connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self._socket))
        return connection

    def close(self) -> None:
        """End it."""
        self._running.terminate()
        self._running.wait(SECONDS)


@contextmanager
def load(proxy: Proxy, statuses: "Counter[int | str]") -> Iterator[None]:
    """Send requests, one after another by each client, and count their statuses."""
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            connection = proxy.connection()
            try:
                connection.request("GET", "/sample?n=2&seed=1")
                response = connection.getresponse()
                response.read()
                statuses[response.status] += 1
            except (OSError, http.client.HTTPException) as error:
                statuses[type(error).__name__] += 1
            finally:
                connection.close()

    clients = [threading.Thread(target=ask) for _ in range(N_CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        is_over.set()
        for client in clients:
            client.join(SECONDS)


def kill(*pods: list[Pod]) -> None:
    """End all at once."""
    for pod in chain(*pods):
        pod.kill()


def test_twenty_replacements_lose_no_request(tmp_path: Path) -> None:
    """Every request is answered with 200, every old service exits with 0."""
    path = save_tiny(
        tmp_path / "tiny", tiny_vae(tiny_config("bernoulli", data_shape=(4, 4)))
    )
    statuses: Counter[int | str] = Counter()
    leaving: list[Pod] = []
    with ExitStack() as stack:
        pods = [Pod(path), Pod(path)]
        stack.callback(kill, pods, leaving)
        proxy = Proxy(tmp_path, pods)
        stack.callback(proxy.close)
        with load(proxy, statuses):
            for _ in range(N_REPLACED):
                before = statuses[200]
                until(lambda before=before: statuses[200] >= before + 10)  # type: ignore[misc]
                pods.append(Pod(path))
                old = pods.pop(0)
                old.terminate()
                late = monotonic() + LATE_SECONDS
                until(lambda late=late: monotonic() > late)  # type: ignore[misc]
                proxy.point_to(pods)
                proxy.reload()
                leaving.append(old)
            ended = [pod.status() for pod in leaving]

    assert set(ended) == {0}
    assert set(statuses) == {200}, statuses
    assert statuses[200] > 10 * N_REPLACED
