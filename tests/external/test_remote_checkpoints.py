"""Checkpoints come from the Hugging Face Hub and from S3, by their own packages."""

import os
import subprocess
from pathlib import Path

import pytest

from model import checkpoint
from tests.external.hub import COMMIT, REPOSITORY, Hub, hub
from tests.tiny import save_tiny, tiny_config, tiny_vae

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("EXTERNAL_TOOLS", "nowhere")) / "python"
SECONDS = 120
# The environment has neither torch nor the service: a copy needs none of them.
COPY = """
import logging, sys
from pathlib import Path
from model.remote.copies import local_checkpoint

logging.basicConfig()
try:
    print(local_checkpoint(sys.argv[1], Path(sys.argv[2])))
except ValueError as error:
    print(error)
assert "torch" not in sys.modules
"""


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a checkpoint as it is stored elsewhere."""
    config = tiny_config("bernoulli", data_shape=(4,))
    return save_tiny(tmp_path / "stored" / "tiny", tiny_vae(config))


def copy(url: str, cache: Path, served: Hub) -> str:
    """Return where a copy is, or why there is none."""
    if not PYTHON.exists():
        pytest.skip("the packages are absent: make test-external")
    variables = {
        "HF_ENDPOINT": served.url,
        "AWS_ENDPOINT_URL": served.url,
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run(
        [str(PYTHON), "-c", COPY, url, str(cache)],
        cwd=cache.parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_files_of_the_hub_are_of_one_commit(
    stored: Path, tmp_path: Path, revision: str
) -> None:
    """A branch is resolved once, and every file is asked for by the commit."""
    with hub(stored) as served:
        found = copy(f"hf://{REPOSITORY}{revision}", tmp_path / "cache", served)

    files = [path for path in served.asked if "/resolve/" in path]
    assert checkpoint.verify(Path(found)) == checkpoint.identity(stored)
    assert files
    assert all(f"/resolve/{COMMIT}/" in path for path in files)


@pytest.mark.parametrize("url", ["hf://user/other", f"hf://{REPOSITORY}@other"])
def test_an_unknown_repository_or_revision_is_said(
    stored: Path, tmp_path: Path, url: str
) -> None:
    """As an error, not as an outage."""
    with hub(stored) as served:
        assert copy(url, tmp_path / "cache", served) == f"{url}: not found"


def test_a_checkpoint_comes_from_s3(stored: Path, tmp_path: Path) -> None:
    """With the credentials and the address of the environment."""
    with hub(stored) as served:
        found = copy("s3://bucket/tiny", tmp_path / "cache", served)
        missing = copy("s3://bucket/other", tmp_path / "cache", served)

    assert checkpoint.verify(Path(found)) == checkpoint.identity(stored)
    assert missing == "s3://bucket/other/manifest.json: not found"
