"""
Clients of the Open Inference Protocol: Triton's and KServe's, against the service.

Each client has an environment of its own, because their pins conflict with ours. `make
test-external` makes them and runs these tests, which `make test` leaves out.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from tests.app.processes import ROOT, process

CLIENTS = Path(os.environ.get("EXTERNAL_CLIENTS", "nowhere"))
PAGE = ROOT / "docs" / "open-inference-protocol.md"
SAFETENSORS = "application/vnd.safetensors"
N = 4
SECONDS = 300

pytestmark = [pytest.mark.slow("starts processes"), pytest.mark.external]


class Answered(NamedTuple):
    """A service, and a folder with arrays and what its native calls answer to them."""

    address: str
    folder: Path


def native(
    address: str, call: str, arrays: dict[str, NDArray[Any]], query: str
) -> dict[str, NDArray[Any]]:
    """Return the tensors that a native call answers."""
    headers = {"content-type": SAFETENSORS, "accept": SAFETENSORS}
    url, body = f"{address}/{call}?{query}", save(arrays) if arrays else b""
    if not arrays:
        headers.pop("content-type")
    response = httpx.post(url, content=body, headers=headers, timeout=SECONDS)
    assert response.status_code == 200, response.text
    found: dict[str, NDArray[Any]] = load(response.content)
    return found


def write(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays by their names."""
    np.savez(path, allow_pickle=False, **arrays)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    """Serve the released model, and write down what its native calls answer."""
    folder = tmp_path_factory.mktemp("native")
    draws = np.random.default_rng(1)
    x = draws.random((N, 28, 28), np.float32)
    z = draws.normal(size=(N, 20)).astype(np.float32)
    with process({"VAE_CHECKPOINT": str(ROOT / "released" / "mnist")}) as (address, _):
        for call, arrays, query in (
            ("encode", {"x": x}, ""),
            ("decode", {"z": z}, ""),
            ("sample", {}, f"n={N}&seed=5&draw=sample&temperature=0.5"),
            ("elbo", {"x": x}, "seed=7&n_samples=3&binarize=sample"),
            ("reconstruct", {"x": x}, "seed=9&n_samples=2"),
        ):
            found = native(address, call, arrays, query)
            sent: dict[str, Any] = arrays or {"n": np.array([N], np.int64)}
            write(folder / f"vae-{call}-in.npz", sent)
            write(folder / f"vae-{call}-out.npz", found)
        yield Answered(address, folder)


def run(client: str, program: Path, *arguments: str | Path, cwd: Path) -> str:
    """Run a program in the environment of a client; return what it prints."""
    python = CLIENTS / client / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{client} is absent: make test-external")
    ended = subprocess.run(
        [str(word) for word in (python, program, *arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return ended.stdout


@pytest.mark.parametrize(("client", "n"), [("triton", 28), ("kserve", 6)])
def test_every_method_of_a_client_is_answered(
    answered: Answered, client: str, n: int
) -> None:
    """With the bits of the native calls; what is not offered is refused in words."""
    program = Path(__file__).parent / f"{client}_client.py"

    said = run(client, program, answered.address, answered.folder, cwd=answered.folder)

    assert len(said.split()) == n, said


@pytest.mark.parametrize("client", ["triton", "kserve"])
def test_the_programs_of_the_documentation_run(
    answered: Answered, client: str, tmp_path: Path
) -> None:
    """As they stand, in the environment of their client."""
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {client} -->\n```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    address = answered.address.removeprefix("http://")
    program = tmp_path / "program.py"
    program.write_text(found[1].replace("127.0.0.1:8000", address))

    assert run(client, program, cwd=tmp_path)
