"""The notebook runs from its first cell to its last."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "tour.ipynb"
SECONDS = 1800  # ends only what hangs: a busy machine takes more than 300

pytest.importorskip("matplotlib")


@pytest.mark.slow("trains")
def test_the_notebook_runs(tmp_path: Path) -> None:
    """Its cells are one program that trains, serves, asks, plots and ends well."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    program = "\n\n".join(
        "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
    )
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
    assert "amortisation" in said
