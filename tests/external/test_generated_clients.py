"""
The API documentation in the hands of others: a validator, and generators of clients.

`make test-external` installs them into an environment of their own and runs these
tests, which `make test` leaves out.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.app.explorer.explored import save
from tests.app.live import serving

TOOLS = Path(os.environ.get("EXTERNAL_TOOLS", "nowhere"))
CALLS = Path(__file__).parent / "calls.py"
PACKAGES = ("openapi-fetch@0.17.0", "openapi-typescript@7.10.1", "typescript@5.9.3")
COMPILER = {
    "strict": True,
    "target": "es2022",
    "module": "es2022",
    "moduleResolution": "bundler",
    "lib": ["es2022", "dom"],
    "outDir": "out",
    "skipLibCheck": True,
}
KINDS = ["pictures", "colors", "table", "planes", "narrow", "learned", "cells"]
SECONDS = 300

pytestmark = [pytest.mark.slow("starts processes"), pytest.mark.external]


class Operation(NamedTuple):
    """One operation, and a request that its documentation shows."""

    name: str
    tag: str
    method: str
    path: str
    body: Mapping[str, Any] | None
    query: Mapping[str, Any]
    is_text: bool


class Described(NamedTuple):
    """A served model, and a file with its API documentation."""

    address: str
    file: Path
    operations: list[Operation]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command, and return what it prints."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return ended.stdout


def tool(name: str) -> Path:
    """Return a command of the environment of these tools."""
    path = TOOLS / name
    if not path.exists():
        pytest.skip(f"{name} is absent: make test-external")
    return path


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Return every operation that the model can answer, with each of its examples."""
    found = []
    for path, item in document["paths"].items():
        for method, entry in item.items():
            if entry["summary"].endswith("(not with this model)"):
                continue
            body = entry.get("requestBody", {}).get("content", {})
            examples = body.get("application/json", {}).get("examples", {})
            parameters = entry.get("parameters", ())
            query = {p["name"]: p["example"] for p in parameters if "example" in p}
            is_text = "text/plain" in entry["responses"]["200"]["content"]
            found += [
                Operation(
                    entry["operationId"],
                    entry["tags"][0],
                    method.upper(),
                    path,
                    example["value"] if example else None,
                    query,
                    is_text,
                )
                for example in (examples.values() or [None])
            ]
    return found


@pytest.fixture(scope="module", params=KINDS)
def described(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Described]:
    """Serve each kind of model in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    with serving(save(folder, request.param)) as address:
        document = httpx.get(f"{address}/openapi.json").json()
        file = folder / "openapi.json"
        file.write_text(json.dumps(document))
        yield Described(address, file, operations(document))


def test_the_document_is_valid(described: Described) -> None:
    """By the schema of OpenAPI 3.1, and its defaults by their own schemas."""
    said = run(
        tool("openapi-spec-validator"), described.file, cwd=described.file.parent
    )

    assert said.strip().endswith("OK")


def test_a_generated_python_client_runs_every_operation(described: Described) -> None:
    """Every body has a type, and the answer of every call is of its class."""
    folder = described.file.parent
    run(
        tool("openapi-python-client"),
        *("generate", "--path", described.file, "--output-path", folder / "client"),
        cwd=folder,
        PATH=f"{TOOLS}:{os.environ['PATH']}",  # it formats with ruff
    )
    asked = folder / "operations.json"
    asked.write_text(json.dumps([one._asdict() for one in described.operations]))

    said = run(
        tool("python"),
        *(CALLS, described.address, asked),
        cwd=folder,
        PYTHONPATH=str(folder / "client"),
    )

    assert said.splitlines() == [f"{one.name} 200" for one in described.operations]


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the generator of types, its client and the compiler."""
    if shutil.which("npm") is None:
        pytest.skip("npm is absent")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    run("npm", "install", "--no-audit", "--no-fund", *PACKAGES, cwd=folder)
    return folder


def test_a_generated_typescript_client_runs_every_operation(
    described: Described, node_modules: Path
) -> None:
    """The examples fit the types, and every call of openapi-fetch is answered."""
    program = "\n".join(
        [
            'import createClient from "openapi-fetch";',
            'import type { paths } from "./types";',
            f'const baseUrl = "{described.address}";',
            "const client = createClient<paths>({ baseUrl });",
            *(typescript(one) for one in described.operations),
        ]
    )
    (node_modules / "program.ts").write_text(program)
    config = {"compilerOptions": COMPILER, "files": ["program.ts"]}
    (node_modules / "tsconfig.json").write_text(json.dumps(config))
    types = (described.file, "--default-non-nullable=false", "--output", "types.d.ts")

    run("npx", "openapi-typescript", *types, cwd=node_modules)
    run("npx", "tsc", cwd=node_modules)
    said = run("node", "out/program.js", cwd=node_modules)

    assert said.splitlines() == [f"{one.name} 200" for one in described.operations]


def typescript(one: Operation) -> str:
    """Return the call of an operation, which prints its name and its status."""
    body = f"body: {json.dumps(one.body)}," if one.body is not None else ""
    query = f"params: {{ query: {json.dumps(one.query)} }}," if one.query else ""
    parsed = 'parseAs: "text",' if one.is_text else ""
    return (
        f'{{ const {{ response }} = await client.{one.method}("{one.path}", '
        f"{{ {query} {body} {parsed} }}); "
        f'console.log("{one.name}", response.status); }}'
    )
