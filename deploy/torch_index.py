"""
Choose the build of torch that `make` installs: say which, and print where pip finds it.

`python deploy/torch_index.py CHOICE`, where CHOICE is

- auto: the small build for CPUs where there is no NVIDIA GPU and the index that has it
  answers; else that of pip's own index.
- cuda: that of pip's own index, which on Linux comes with CUDA.
- cpu, cu130, rocm7.1, ...: the build of that name.

It writes pip's option to standard output, empty for pip's own index, and one line for
people to standard error. Nothing is imported that a fresh Python does not have.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

INDEX = "https://download.pytorch.org/whl"
_SECONDS = 5
_NVIDIA = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")


@dataclass(frozen=True)
class Choice:
    """Where pip finds torch: an index besides its own, or none, and why."""

    index: str | None
    why: str


class UnreachableError(Exception):
    """The build that was asked for cannot be had."""


def choose(
    wanted: str, *, has_gpu: Callable[[], bool], answers: Callable[[str], bool]
) -> Choice:
    """
    Return where pip finds the build of torch that is wanted.

    Raises:
        UnreachableError: A build was named, and its index does not answer.
    """
    if wanted == "cuda":
        return Choice(None, "the build of pip's own index (TORCH=cuda)")
    if wanted != "auto":
        index = f"{INDEX}/{wanted}"
        if not answers(index):
            why = f"{index} does not answer; TORCH=cuda takes the build of pip's index"
            raise UnreachableError(why)
        return Choice(index, f"the build {wanted} of {index}")
    if has_gpu():
        why = "there is an NVIDIA GPU; TORCH=cpu is the small build without CUDA"
        return Choice(None, f"the build of pip's own index ({why})")
    index = f"{INDEX}/cpu"
    if not answers(index):
        return Choice(None, f"the build of pip's own index ({index} does not answer)")
    why = "no NVIDIA GPU was found; TORCH=cuda is the build with CUDA"
    return Choice(index, f"the small build for CPUs of {index} ({why})")


def has_nvidia_gpu() -> bool:
    """Say whether a driver of NVIDIA is loaded here, or that of WSL."""
    return any(Path(path).exists() for path in _NVIDIA)


def answers_in_time(index: str) -> bool:
    """
    Say whether an index has torch, asked once and for a few seconds.

    Another process asks, which the system ends in time: looking up a name has no other
    time limit.
    """
    command = (sys.executable, __file__, "--ask", f"{index}/torch/")
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603  # itself


def _ask(url: str) -> int:
    signal.alarm(_SECONDS)
    try:
        with urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310  # https, above
            return 0 if answer.status == 200 else 1
    except (HTTPError, OSError):
        return 1


def main(arguments: list[str]) -> int:
    """Print the choice, and return the exit status."""
    if arguments[:1] == ["--ask"]:
        return _ask(arguments[1])
    try:
        choice = choose(
            arguments[0] if arguments else "auto",
            has_gpu=has_nvidia_gpu,
            answers=answers_in_time,
        )
    except UnreachableError as error:
        sys.stderr.write(f"torch: {error}\n")
        return 1
    sys.stderr.write(f"torch: {choice.why}\n")
    sys.stdout.write(f"--extra-index-url {choice.index}\n" if choice.index else "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
