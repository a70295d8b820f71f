"""The wheel, built and installed elsewhere: all that it needs comes with it."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import plain_http
from tests.app.processes import SECONDS, process

ROOT = Path(__file__).parent.parent
FOLDERS = ("app", "model", "released")
WHOLE = (
    "released/mnist",
    "released/penguins",
    "app/api_docs/swagger_ui",
    "app/explorer",
)
FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
SCRIPTS = (
    "vae-serve",
    "vae-train",
    "vae-evaluate",
    "vae-adopt",
    "vae-keys",
    "vae-encode",
    "vae-decode",
    "vae-sample",
    "vae-score",
)

pytestmark = [
    pytest.mark.slow("builds a wheel and installs it"),
    pytest.mark.skipif(find_spec("pip") is None, reason="pip is absent"),
]


def pip(*words: str | Path) -> None:
    """Run pip without a network."""
    subprocess.run(
        [sys.executable, "-m", "pip", *map(str, words), "--quiet", "--no-deps"],
        check=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    sources.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, sources / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, sources)
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, sources)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own; its requirements are there."""
    site = tmp_path_factory.mktemp("site")
    pip("install", "--target", site, wheel)
    return site


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Be in a folder with files of the user's own that have the names of packages."""
    for name in ("app", "client", "model", "released"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the user\\'s own')\n")
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


# Runs a console script twice, in one process that imports what it needs once.
TWICE = """
import runpy, sys
script = sys.argv[1]
for argument in ("--help", "--no-such-option"):
    sys.argv = [script, argument]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        print("status", end.code, flush=True)
"""


def test_the_wheel_holds_the_model_the_pages_and_the_licenses(wheel: Path) -> None:
    """Byte for byte what the repository has, and no tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for folder in WHOLE:
            files = [path for path in (ROOT / folder).iterdir() if path.is_file()]
            assert files
            for path in files:
                assert archive.read(f"{folder}/{path.name}") == path.read_bytes()

    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names}
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "app",
        "model",
        "released",
        "vae_service",
    }


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_released_model_is_served_from_anywhere(
    site: Path, folder: Path, workers: str
) -> None:
    """Whatever lies in the folder, and with several workers too."""
    command = (str(site / "bin" / "vae-serve"), "--port", "0", "--workers", workers)
    settings = {"PYTHONPATH": str(site)}

    with process(settings, command=command, cwd=folder) as (address, _):
        model = plain_http.get(f"{address}/model", timeout=SECONDS).json()
        sample = plain_http.get(f"{address}/sample?seed=7", timeout=SECONDS)

    assert model["name"] == "mnist"
    assert sample.status_code == 200


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_console_script_has_help_and_ignores_no_argument(
    site: Path, folder: Path, script: str
) -> None:
    """In a folder with files of the user's own that have the names of packages."""
    twice = site / "bin" / "twice.py"  # where a script finds no module, as it does
    twice.write_text(TWICE)

    ended = subprocess.run(
        [sys.executable, str(twice), str(site / "bin" / script)],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    helped, *_ = ended.stdout.partition("status 0\n")
    assert "usage" in helped.lower(), ended.stderr
    assert [
        line for line in ended.stdout.splitlines() if line.startswith("status")
    ] == [
        "status 0",
        "status 2",
    ], ended.stderr
