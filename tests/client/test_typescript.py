"""The TypeScript types are those of the service; the client checks them and runs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.app.processes import process
from tests.app.served import Served
from tests.conftest import calibrated, save_tiny, tiny_config, tiny_vae

SOURCES = Path(__file__).parents[2] / "client" / "typescript"
FILES = ("package.json", "tsconfig.json", "client.ts", "example.ts", "vae.d.ts")
# Each line with an error must have one, and the others must have none.
PROGRAM = """
import { Client } from "./client.js";
const vae = new Client("http://127.0.0.1:8000");
// @ts-expect-error no such path
await vae.post("/nothing", {});
// @ts-expect-error nothing is posted there
await vae.post("/model", {});
// @ts-expect-error an option of another call
await vae.post("/sample", { n_samples: 3 });
// @ts-expect-error a string is no number
await vae.post("/sample", { n: "3" });
// @ts-expect-error a member of another response
(await vae.post("/encode", { x: [[0]] })).elbo;
const latentDim: number = (await vae.get("/model")).latent_dim;
const units: string = (await vae.post("/elbo", { x: [[latentDim]] })).units;
export { units };
"""
SECONDS = 180

pytestmark = [
    pytest.mark.slow("installs packages of npm"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is absent"),
]


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
    """Return a model that can answer every call: J = 2, with held-out scores."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(8, 8), latent_dim=2))
    scores = calibrated(np.linspace(40, 50, 99))
    return save_tiny(tmp_path_factory.mktemp("typescript") / "digits", vae, scores)


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
    """Generated again from the OpenAPI document, they are what is committed."""
    with Served(checkpoint) as served:
        document = served.get("/openapi.json").json()
    (project / "openapi.json").write_text(json.dumps(document))

    made = npm(project, "run", "types")

    assert made.returncode == 0, made.stderr
    fresh, committed = project / "vae.d.ts", SOURCES / "vae.d.ts"
    if "UPDATE_TYPES" in os.environ:
        shutil.copy(fresh, committed)
    assert fresh.read_text() == committed.read_text(), "run `make types`"


def test_a_path_fixes_the_types_of_request_and_response(project: Path) -> None:
    """What does not fit a path is an error of the compiler."""
    config = {"extends": "./tsconfig.json", "files": ["program.ts"]}
    (project / "program.json").write_text(json.dumps(config))
    (project / "program.ts").write_text(PROGRAM)

    checked = npm(project, "exec", "--", "tsc", "--noEmit", "--project", "program.json")

    assert checked.returncode == 0, checked.stdout


def test_the_example_is_sound_and_runs(project: Path, checkpoint: Path) -> None:
    """It compiles under `strict`; node prints results and an error of the service."""
    checked = npm(project, "run", "check")
    assert checked.returncode == 0, checked.stdout

    compiled = npm(project, "exec", "--", "tsc")
    assert compiled.returncode == 0, compiled.stdout
    with process({"VAE_CHECKPOINT": str(checkpoint)}) as (address, _):
        program = project / "out" / "example.js"
        program.write_text(
            program.read_text().replace("http://127.0.0.1:8000", address)
        )
        ran = subprocess.run(
            ["node", str(program)],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    assert ran.stdout == "2 nats\n422 Unprocessable Entity\n", ran.stderr
