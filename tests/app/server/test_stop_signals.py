"""SIGTERM ends a process even if its main thread never comes back."""

import signal
import subprocess
import sys

import pytest

from app.server.stop_signals import FORCED
from tests.app.processes import ROOT, SECONDS

# Blocked in C, where no handler of Python runs.
STUCK = """
import ctypes, sys
from app.observability import log
from app.server.stop_signals import StopSignals
handler = log.install("info")
stop_signals = StopSignals({patience}, handler)
stop_signals.listen()
stop_signals.is_serving = lambda: {is_serving}
stop_signals.has_ended = lambda: {has_ended}
print("ready", flush=True)
ctypes.CDLL(None).pause()
"""

pytestmark = pytest.mark.slow("starts processes")


def ended(
    number: signal.Signals, *, is_serving: bool, has_ended: bool = False
) -> tuple[int, str]:
    """Return the status and the log of a process that is stuck, and then signaled."""
    code = STUCK.format(patience=-4.9, is_serving=is_serving, has_ended=has_ended)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        _, printed = running.communicate(timeout=SECONDS)
    return running.returncode, printed


def test_a_stuck_server_is_ended_by_force() -> None:
    """After the time of the drain, with a line in the log."""
    status, printed = ended(signal.SIGTERM, is_serving=True)

    assert status == FORCED
    assert "ended by force" in printed


def test_threads_that_nobody_waits_for_are_no_failure() -> None:
    """All is answered: what is still computed after the time of the drain is left."""
    assert ended(signal.SIGTERM, is_serving=True, has_ended=True) == (0, "")


def test_a_server_that_does_not_serve_yet_ends_at_once() -> None:
    """A long load is not waited for, and is no failure."""
    for number in (signal.SIGTERM, signal.SIGINT):
        assert ended(number, is_serving=False) == (0, "")
