"""The notebook runs from its first cell to its last."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "tour.ipynb"
EPOCHS = '"--epochs", "100"'  # as a cell has them
SECONDS = 1800  # ends only what hangs: a busy machine takes more than 300


@pytest.mark.slow("trains")
def test_the_notebook_runs(tmp_path: Path) -> None:
    """Its cells are one program that trains, serves, asks, plots and ends well."""
    pytest.importorskip("matplotlib")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    program = "\n\n".join(
        "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
    )
    # A fifth of the epochs: training longer than that adds nothing to what is tested.
    assert program.count(EPOCHS) == 1
    program = program.replace(EPOCHS, '"--epochs", "20"')
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VAE_")}

    log = tmp_path / "log"
    with log.open("w", encoding="utf-8") as output:
        running = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={
                **environment,
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client")]),
                "MPLBACKEND": "agg",
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            status = running.wait(SECONDS)
        finally:
            with suppress(ProcessLookupError):  # the service, if a cell has failed
                os.killpg(running.pid, signal.SIGKILL)

    said = log.read_text(encoding="utf-8")
    assert status == 0, said[-2000:]
    assert "amortization" in said
    assert "epoch 20/20" in said


def test_the_notebook_is_stored_with_its_outputs() -> None:
    """Cells have ids and outputs of a run from first to last; only the client asks."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    source = "".join(line for cell in code for line in cell["source"])

    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    assert sum(bool(cell["outputs"]) for cell in code) >= len(code) - 1
    kinds = {output["output_type"] for cell in code for output in cell["outputs"]}
    assert "error" not in kinds
    assert "httpx" not in source


def test_what_the_readme_names_has_a_jupyter() -> None:
    """Its command for the notebook installs one, with the training and the client."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"][0]
    [command] = re.findall(r"    (pip install .*)", "".join(first["source"]))

    assert command == "pip install -e '.[train]' ./client jupyterlab"
    assert command in readme
