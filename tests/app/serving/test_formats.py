"""Checkpoints of every format that was ever written are served with their meaning."""

import json
from pathlib import Path

import numpy as np
import pytest

from model import checkpoint
from model.config import FORMAT_VERSION
from tests.app.served import Served
from tests.tiny import save_tiny

# Each with what the version that wrote it computed.
FORMATS = Path(__file__).parents[2] / "formats"
STORED = sorted(path.parent for path in FORMATS.glob("version_*/*/config.json"))
NAMES = [f"{path.parent.name}-{path.name}" for path in STORED]
EACH = [
    pytest.param(
        path,
        id=name,
        marks=[pytest.mark.slow("convolves colors")] if path.name == "colors" else [],
    )
    for path, name in zip(STORED, NAMES, strict=True)
]


def test_checkpoints_of_every_format_are_stored() -> None:
    """A change that raises the version stores checkpoints of the new one."""
    versions = {path.parent.name for path in STORED}

    assert versions == {f"version_{n}" for n in range(1, FORMAT_VERSION + 1)}


@pytest.mark.parametrize("path", EACH)
def test_a_stored_checkpoint_gives_what_it_gave_when_it_was_written(path: Path) -> None:
    """Its golden record agrees at the start, and so do encoder and decoder."""
    recorded = json.loads(path.with_suffix(".json").read_bytes())
    wanted = {name: np.array(values) for name, values in recorded.items()}

    with Served(path) as served:
        encoded = served.post("/encode", {"x": recorded["x"]}).json()
        decoded = served.post("/decode", {"z": recorded["z"]}).json()
        version = served.get("/model").json()["format_version"]

    assert f"version_{version}" == path.parent.name
    for name in ("mu", "log_var"):
        np.testing.assert_allclose(encoded[name], wanted[name], rtol=1e-5, atol=1e-6)
    mean = np.array(decoded["mean"]).reshape(wanted["mean"].shape)
    # Version 1 rounded to float32 in the data's units, so relative to the values too.
    error = 1e-5 * wanted["x"].std(axis=0) + 2e-7 * np.abs(wanted["mean"])
    assert (np.abs(mean - wanted["mean"]) <= error).all()
    if "x_log_var" in wanted:
        log_var = np.array(decoded["log_var"]).reshape(mean.shape)
        np.testing.assert_allclose(log_var, wanted["x_log_var"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("path", STORED, ids=NAMES)
def test_a_stored_checkpoint_is_written_in_the_current_format(
    path: Path, tmp_path: Path
) -> None:
    """Read and saved again, it says the current version and is the same model."""
    before = checkpoint.load(path)

    save_tiny(tmp_path / "again", before.vae)

    after = checkpoint.load(tmp_path / "again")
    assert after.config.format_version == after.manifest.format_version
    assert after.config.format_version == FORMAT_VERSION
    ignored = {"format_version": FORMAT_VERSION}
    assert after.config == before.config.model_copy(update=ignored)
    for name, tensor in before.vae.state_dict().items():
        np.testing.assert_array_equal(after.vae.state_dict()[name], tensor)
