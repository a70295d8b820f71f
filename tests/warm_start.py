"""
Starts commands of this project in processes that have imported their libraries.

Most of a start of `python -m app` is the import of torch, and tests start it a hundred
times. `WarmPopen` is a `subprocess.Popen` whose child is forked from a server: a
process that has imported the libraries, and has done nothing else. The child has its
own arguments, environment and streams, and is a child of this process, which waits for
it and sends it signals as to any other.

Some tests need a real start: those of variables that libraries read while they are
imported, of the import itself, of the command line in /proc, and of what a process
takes in memory.
"""

import atexit
import ctypes
import fcntl
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never, final

ROOT = Path(__file__).parents[1]
# What the commands import. Not the modules that are run: those are to run once.
LIBRARIES = (
    *("app.main", "app.server.run", "model.engine.onnx", "fsspec.implementations.http"),
    *("pydantic.v1", "uvicorn.lifespan.on", "uvicorn.loops.uvloop"),
    *("model.train.arguments", "model.train.command", "model.bulk.command"),
    "tests.app.warm_schemas",
)
_SET_NAME, _SET_SUBREAPER = 15, 36  # of linux/prctl.h
_MAX_BYTES, _MAX_DESCRIPTORS = 1 << 17, 100
_HIGH = 256  # above every descriptor that a test passes on
_ONE_AT_A_TIME = threading.Lock()


class WarmPopen(subprocess.Popen[str]):
    """A process that a server forks; its command is `python -m module arguments`."""

    def server(self) -> socket.socket:
        """Return the connection to the server."""
        return _server(LIBRARIES)

    @final
    def _execute_child(self, *given: Any) -> None:
        """Override how CPython 3.11 to 3.14 starts a child."""
        command, pass_fds, cwd, env, pipes = *given[:1], *given[4:7], given[10:16]
        assert command[0] == sys.executable
        assert Path(cwd or Path.cwd()) == ROOT
        streams = dict(enumerate((pipes[0], pipes[3], pipes[5])))
        ends = {n: n if end == -1 else end for n, end in streams.items()}
        ends |= {number: number for number in pass_fds}
        start = {
            "command": command[command.index("-m") + 1 :],
            "environment": dict(os.environ if env is None else env),
            "blocked": [*signal.pthread_sigmask(signal.SIG_BLOCK, [])],
            "descriptors": [*ends],
        }
        self.pid = _fork(self.server(), start, [*ends.values()])
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # private


def fork_server() -> socket.socket:
    """Make a server of this process, which is a warm start itself."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        _serve(theirs)
    theirs.close()
    assert ours.recv(64) == b"ready"
    return ours


def _fork(server: socket.socket, start: object, descriptors: Sequence[int]) -> int:
    """Have the server fork a child, and adopt it; return its process id."""
    with _ONE_AT_A_TIME:
        _prctl(_SET_SUBREAPER, 1)  # children of ended children are this process's now
        socket.send_fds(server, [json.dumps(start).encode()], descriptors)
        pid = int(server.recv(64))
        _prctl(_SET_SUBREAPER, 0)
        return pid


def _prctl(option: int, value: int | bytes) -> None:
    assert ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0


@functools.cache
def _server(libraries: Sequence[str]) -> socket.socket:
    """Start a server of this process, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    number = theirs.fileno()
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm_start", str(number), *libraries],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[number],
        )
    assert ours.recv(64) == b"ready"

    @atexit.register
    def end() -> None:
        ours.close()
        server.wait()

    return ours


def _serve(control: socket.socket) -> Never:
    """Fork at each request, until the connection ends; run the command in the child."""
    # Ctrl-C is for the tests and the children.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    control.send(b"ready")
    while True:
        message, came, _, _ = socket.recv_fds(control, _MAX_BYTES, _MAX_DESCRIPTORS)
        if not message:
            os._exit(0)
        if _fork_orphan():
            break
        for descriptor in came:
            os.close(descriptor)
    start = json.loads(message)
    signal.pthread_sigmask(signal.SIG_SETMASK, start["blocked"])
    control.send(str(os.getpid()).encode())
    control.close()
    # Up, out of each other's way, then to the numbers that are wanted.
    high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _HIGH) for one in came]
    for wanted, descriptor in zip(start["descriptors"], high, strict=True):
        os.dup2(descriptor, wanted)
    os.closerange(_HIGH, _HIGH + len(high))
    for descriptor in {*came} - {*start["descriptors"]}:
        os.close(descriptor)
    _run(start["command"], start["environment"])


def _fork_orphan() -> bool:
    """Fork a process whose own parent ends at once; return whether this is it."""
    reading, writing = os.pipe()
    parent = os.fork()
    if parent:
        os.waitpid(parent, 0)
        os.write(writing, b"!")
    elif os.fork():
        os._exit(0)
    else:
        os.read(reading, 1)  # until it has been adopted
    os.close(reading)
    os.close(writing)
    return not parent


def _run(command: Sequence[str], environment: dict[str, str]) -> Never:
    """Do what `python -m` does."""
    module, *sys.argv[1:] = command
    os.environ.clear()
    os.environ.update(environment)
    _prctl(_SET_NAME, module.encode())  # of which /proc shows 15 letters
    # The one library that looks at its variables when it is imported.
    if values := sys.modules.get("prometheus_client.values"):
        vars(values)["ValueClass"] = values.get_value_class()
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        status = end.code or 0
    # As an interpreter ends, but without freeing every module, which takes longer than
    # to start a service.
    threading._shutdown()  # type: ignore[attr-defined]  # private
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()  # so that memory stays shared with the children
    _serve(socket.socket(fileno=int(sys.argv[1])))
