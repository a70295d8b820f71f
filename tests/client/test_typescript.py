"""The TypeScript types are those of the service; the example that uses them runs."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.app.served import Served
from tests.app.test_process import process
from tests.conftest import save_tiny, tiny_config, tiny_vae

SOURCES = Path(__file__).parents[2] / "client" / "typescript"
FILES = ("package.json", "tsconfig.json", "example.ts", "vae.d.ts")
SECONDS = 180

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is absent")


def npm(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run npm in a folder."""
    return subprocess.run(
        ["npm", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model with the shapes of the one that `make serve` trains."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(8, 8), latent_dim=20))
    return save_tiny(tmp_path_factory.mktemp("typescript") / "digits", vae)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources with their tools installed."""
    folder = tmp_path_factory.mktemp("types")
    for name in FILES:
        shutil.copy(SOURCES / name, folder)
    installed = npm(folder, "install", "--no-audit", "--no-fund")
    if installed.returncode != 0:
        pytest.skip(f"npm cannot install: {installed.stderr[-200:]}")
    return folder


def test_the_types_are_fresh(project: Path, checkpoint: Path) -> None:
    """Made anew from the service's document they are what is committed."""
    with Served(checkpoint) as served:
        document = served.get("/openapi.json").json()
    (project / "openapi.json").write_text(json.dumps(document))

    made = npm(project, "run", "types")

    assert made.returncode == 0, made.stderr
    assert (project / "vae.d.ts").read_text() == (SOURCES / "vae.d.ts").read_text(), (
        f"make them anew: npm run types in {SOURCES}, with the service's openapi.json"
    )


def test_the_example_is_sound_and_runs(project: Path, checkpoint: Path) -> None:
    """It compiles under `strict`, and node prints what the service answered."""
    checked = npm(project, "run", "check")
    assert checked.returncode == 0, checked.stdout

    compiled = npm(project, "exec", "--", "tsc")
    assert compiled.returncode == 0, compiled.stdout
    with process({"VAE_CHECKPOINT": str(checkpoint)}) as (address, _):
        program = (project / "out" / "example.js").read_text()
        (project / "here.mjs").write_text(
            program.replace("http://127.0.0.1:8000", address)
        )
        ran = subprocess.run(
            ["node", "here.mjs"],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    assert ran.stdout == "2 nats\n", ran.stderr
