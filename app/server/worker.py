"""`python -m app.server.worker`: one of several processes that serve."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

from app.observability import log
from app.server import metrics_directory, sighup
from app.server.channel import WorkerChannel
from app.server.server import Application, serve
from app.server.startup import STARTUP_FAILURE, StartError
from app.server.stop_signals import StopSignals


def main(arguments: Sequence[str]) -> int:
    """
    Serve until a stop signal; return the exit status.

    Args:
        arguments: The number of dead workers that are not counted yet, and the file
            descriptors of the channel to the parent and of the sockets to serve on.
    """
    n_dead, *descriptors = map(int, arguments)
    channel, *listening = (socket.socket(fileno=fd) for fd in descriptors)
    reports = WorkerChannel(channel)
    settings = reports.settings()
    handler = log.install(settings.log_level)
    sighup.block()
    stop_signals = StopSignals.of(settings, handler)
    stop_signals.listen()
    threading.Thread(
        target=_follow_parent, args=(reports, stop_signals), name="parent", daemon=True
    ).start()

    def started(application: Application) -> None:
        application.processes.count_deaths(n_dead)
        reports.send("started", application.start_lines)

    try:
        return serve(
            settings,
            listening,
            stop_signals,
            on_started=started,
            on_beat=lambda: reports.send("beat", []),
        )
    except StartError as error:
        reports.send("failed", [str(error)])
        return STARTUP_FAILURE
    finally:
        handler.output.flush()


def _follow_parent(reports: WorkerChannel, stop_signals: StopSignals) -> None:
    """Handle the parent's signals; if it has exited, clean up and exit at once."""
    while (number := reports.receive_signal()) is not None:
        stop_signals.stop(number)
    metrics_directory.remove()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
