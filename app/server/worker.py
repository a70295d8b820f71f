"""`python -m app.server.worker`: one of several processes that serve."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

from app.observability import log
from app.server import metrics_directory, sighup
from app.server.channel import Reports
from app.server.endings import Endings
from app.server.server import Application, serve
from app.server.startup import STARTUP_FAILURE, StartError


def main(arguments: Sequence[str]) -> int:
    """
    Serve until asked to end; return the exit status.

    Args:
        arguments: How many workers have died that nobody has counted, and the file
            descriptors of the channel to the parent and of the sockets to serve on.
    """
    n_dead, *descriptors = map(int, arguments)
    channel, *listening = (socket.socket(fileno=fd) for fd in descriptors)
    reports = Reports(channel)
    settings = reports.settings()
    handler = log.install(settings.log_level)
    sighup.hold()
    endings = Endings.of(settings, handler)
    endings.listen()
    threading.Thread(
        target=_obey, args=(reports, endings), name="orders", daemon=True
    ).start()

    def started(application: Application) -> None:
        application.processes.count_deaths(n_dead)
        reports.send("started", application.start_lines)

    try:
        return serve(
            settings,
            listening,
            endings,
            on_started=started,
            on_beat=lambda: reports.send("beat", []),
        )
    except StartError as error:
        reports.send("failed", [str(error)])
        return STARTUP_FAILURE
    finally:
        handler.output.flush()


def _obey(reports: Reports, endings: Endings) -> None:
    """Do as the parent says; end at once if it has ended, and leave nothing."""
    while (number := reports.order()) is not None:
        endings.ask(number)
    metrics_directory.remove()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
