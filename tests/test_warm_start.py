"""A warm start is, to the program and to its parent, as a real one."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.warm_start import ROOT, WarmPopen

# With no libraries, as nothing here needs them.
ENDS = """
import subprocess, sys
from tests import warm_start
warm_start.LIBRARIES = ()
with warm_start.WarmPopen(
    [sys.executable, "-m", "tests.child", "0"],
    cwd=warm_start.ROOT, stdin=subprocess.DEVNULL, text=True,
) as child:
    pass
print(end=f"\\n{child.pid} {child.returncode}")
"""


def report(kind: type[subprocess.Popen[str]], descriptor: int) -> tuple[object, ...]:
    """Return what a child with an open file sees, and how it ends."""
    with kind(
        [sys.executable, "-m", "tests.child", "7", "two words"],
        cwd=ROOT,
        env={**os.environ, "VAE_PORT": "é"},
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        stdout, stderr = running.communicate("input")
    return json.loads(stdout), stderr, running.returncode


@pytest.mark.slow("starts processes")
def test_a_child_sees_what_that_of_a_real_start_does() -> None:
    """Arguments, variables, streams, signals, parent: all but the time it took."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    with tempfile.TemporaryFile() as file:  # one, so that both see the same number
        real = report(subprocess.Popen, file.fileno())
        warm = report(WarmPopen, file.fileno())
    signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert warm == real
    assert warm[0]["parent"] == os.getpid()  # type: ignore[index]  # of JSON
    assert warm[1:] == ("done\n", 7)


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_child_gets_signals(number: signal.Signals) -> None:
    """Its status says which one ended it; it is no zombie after."""
    with WarmPopen(
        [sys.executable, "-m", "tests.child", "0"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.poll() is None
        running.send_signal(number)
        running.wait()

    assert running.returncode == -number
    assert not Path(f"/proc/{running.pid}").exists()


@pytest.mark.slow("starts processes")
def test_the_server_ends_with_its_process() -> None:
    """Neither it nor a child is left, and the output has come once."""
    ended = subprocess.run(
        [sys.executable, "-c", ENDS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    line = ended.stdout.splitlines()[-1]
    seen = json.loads(ended.stdout.removesuffix(f"\n{line}"))
    assert line.endswith(" 0")
    assert not Path(f"/proc/{line.split()[0]}").exists()
    assert not Path(f"/proc/{seen['parent']}").exists()
