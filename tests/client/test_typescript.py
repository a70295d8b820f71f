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
from tests.tiny import calibrated, save_tiny, tiny_config, tiny_vae

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "client" / "typescript"
PENGUINS = ROOT / "released" / "penguins"
TYPES = ("vae.d.ts", "table.d.ts")
FILES = ("package.json", "tsconfig.json", "client.ts", "example.ts", *TYPES)
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
PROGRAM_OF_A_TABLE = """
import { Client } from "./client.js";
import type { paths } from "./table";
const vae = new Client<paths>("http://127.0.0.1:8000");
const row = { species: "Gentoo", sex: null, bill_length_mm: 45.5 } as const;
const odd = await vae.post("/anomaly", { x: [row], seed: 1 });
const blame: number | null | undefined = odd.blame[0]?.[odd.blame_order[0]![0]!];
const tail: (number | null)[][] = odd.tail_p_value_per_column;
const filled = await vae.post("/impute", { x: [row], level: 0.5, orient: "records" });
const { interval_low: low, interval_high: high } = filled;
const ends: (number | null)[] = [low, high].map((rows) => rows[0]!.body_mass_g ?? null);
const share: number = filled.probabilities[0]!["species=Gentoo"];
const split = await vae.post("/sample", { n: 3, draw: "sample", orient: "split" });
const cells: (number | string | boolean | null)[] = split.x.data[0]!;
const columns = ["species", "year"] as ("species" | "year")[];
await vae.post("/encode", { x: { columns, data: [["Adelie", 2007], [null, 2008]] } });
await vae.post("/encode", { x: [[0, null, 45.5, null, null, null, 1, null]] });
const names: string[] = (await vae.get("/model")).columns ?? [];
// @ts-expect-error no such column
await vae.post("/encode", { x: [{ beak: 45.5 }] });
// @ts-expect-error arrays have no names
(await vae.post("/sample", { n: 3 })).x[0].species;
// @ts-expect-error no such category
await vae.post("/encode", { x: [{ species: "Emperor" }] });
// @ts-expect-error a mask says of every cell whether it is known
await vae.post("/impute", { x: [row], mask: [[null]] });
// @ts-expect-error only tables have them
(await new Client("http://127.0.0.1:8000").post("/anomaly", { x: [[0]] })).blame;
export { blame, tail, ends, share, cells, names };
"""
# What a caller passes to fetch arrives: the error has the id that the header gave.
PROGRAM_WITH_HEADERS = """
import { Client } from "./client.js";
const vae = new Client("http://127.0.0.1:8000");
const headers = { "X-Request-ID": "mine" };
try {
  await vae.post("/encode", { x: [[]] }, { headers });
} catch (error) {
  console.log((error as { problem: { request_id: string } }).problem.request_id);
}
"""
PROGRAMS = {
    "program.ts": PROGRAM,
    "program_of_a_table.ts": PROGRAM_OF_A_TABLE,
    "program_with_headers.ts": PROGRAM_WITH_HEADERS,
}
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


def run(program: Path, address: str) -> subprocess.CompletedProcess[str]:
    """Run a compiled program with a service at an address."""
    program.write_text(program.read_text().replace("http://127.0.0.1:8000", address))
    return subprocess.run(
        ["node", str(program)],
        cwd=program.parent,
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


@pytest.fixture(scope="module")
def made(project: Path, checkpoint: Path) -> subprocess.CompletedProcess[str]:
    """Generate all types at once, which takes hardly longer than one of them."""
    apis = {}
    for types in TYPES:
        # With all formats, whether or not the extra is installed here.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("app.call_parts.formats.is_installed", lambda: True)
            with Served(checkpoint if types == "vae.d.ts" else PENGUINS) as served:
                document = served.get("/openapi.json").text
        (project / f"{types}.json").write_text(document)
        (project / types).unlink()  # so that it is made anew
        output = {"output": f"./{types}"}
        apis[types] = {"root": f"./{types}.json", "x-openapi-ts": output}
    # JSON is YAML.
    (project / "redocly.yaml").write_text(json.dumps({"apis": apis}))
    return npm(project, "run", "types", "--", "--redocly", "redocly.yaml")


@pytest.mark.parametrize("types", TYPES)
def test_the_types_are_fresh(
    types: str, project: Path, made: subprocess.CompletedProcess[str]
) -> None:
    """Generated again from the OpenAPI document, they are what is committed."""
    assert made.returncode == 0, made.stderr
    fresh, committed = project / types, SOURCES / types
    if "UPDATE_TYPES" in os.environ:
        shutil.copy(fresh, committed)
    assert fresh.read_text() == committed.read_text(), "run `make types`"


@pytest.fixture(scope="module")
def compiled(project: Path) -> subprocess.CompletedProcess[str]:
    """Compile the files of the project and the programs at once; that takes seconds."""
    config = json.loads((project / "tsconfig.json").read_text())
    config = {"extends": "./tsconfig.json", "files": [*config["files"], *PROGRAMS]}
    (project / "all.json").write_text(json.dumps(config))
    for name, program in PROGRAMS.items():
        (project / name).write_text(program)
    return npm(
        project, "run", "check", "--", "--noEmit", "false", "--project", "all.json"
    )


def test_a_path_fixes_the_types_of_request_and_response(
    compiled: subprocess.CompletedProcess[str],
) -> None:
    """What does not fit a path is an error of the compiler, also for a table."""
    assert compiled.returncode == 0, compiled.stdout


def test_the_example_is_sound_and_runs(
    project: Path, checkpoint: Path, compiled: subprocess.CompletedProcess[str]
) -> None:
    """It compiles under `strict`; node prints results and an error of the service."""
    assert compiled.returncode == 0, compiled.stdout
    with process({"VAE_CHECKPOINT": str(checkpoint)}) as (address, _):
        example = run(project / "out" / "example.js", address)
        with_headers = run(project / "out" / "program_with_headers.js", address)

    assert example.stdout == "2 nats\n422 Unprocessable Entity\n", example.stderr
    assert with_headers.stdout == "mine\n", with_headers.stderr
