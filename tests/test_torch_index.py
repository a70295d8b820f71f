"""Which build of torch `make` installs."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / "deploy" / "torch_index.py"
CPU = "https://download.pytorch.org/whl/cpu"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """Return the names of the script, which is no module of this project."""
    return runpy.run_path(str(SCRIPT), run_name="torch_index")


@pytest.mark.parametrize(
    ("wanted", "has_gpu", "answers", "index"),
    [
        ("auto", False, True, CPU),
        ("auto", False, False, None),
        ("auto", True, True, None),
        ("cuda", False, True, None),
        ("cpu", True, True, CPU),
        ("cu130", False, True, "https://download.pytorch.org/whl/cu130"),
    ],
)
def test_the_small_build_is_taken_where_it_will_do(
    script: dict[str, Any],
    wanted: str,
    has_gpu: bool,
    answers: bool,
    index: str | None,
) -> None:
    """By default without a GPU, if its index answers; else what was asked for."""
    choice = script["choose"](
        wanted, has_gpu=lambda: has_gpu, answers=lambda _: answers
    )

    assert choice.index == index


def test_a_build_that_cannot_be_had_is_an_error(script: dict[str, Any]) -> None:
    """Who names a build does not get another."""
    with pytest.raises(script["UnreachableError"], match="TORCH=cuda"):
        script["choose"]("cpu", has_gpu=lambda: False, answers=lambda _: False)


def test_the_choice_is_asked_for_once(script: dict[str, Any]) -> None:
    """One question, and none where the answer changes nothing."""
    asked: list[str] = []

    def answers(index: str) -> bool:
        asked.append(index)
        return False

    script["choose"]("auto", has_gpu=lambda: False, answers=answers)
    script["choose"]("auto", has_gpu=lambda: True, answers=answers)
    script["choose"]("cuda", has_gpu=lambda: False, answers=answers)

    assert asked == [CPU]


def test_the_option_and_the_line_for_people_go_different_ways() -> None:
    """Standard output is for pip; the line says what is installed and why."""
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "cuda"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout == ""
    assert ended.stderr == "torch: the build of pip's own index (TORCH=cuda)\n"


@pytest.mark.slow("waits for an index")
def test_an_index_that_does_not_answer_is_given_up_in_time() -> None:
    """The process that asks is ended by the system, whatever it waits for."""
    with subprocess.Popen([sys.executable, "-c", HANGS, str(SCRIPT)]) as asking:
        status = asking.wait(30)

    assert status == -14  # SIGALRM


HANGS = """
import runpy, sys, threading
script = runpy.run_path(sys.argv[1], run_name="torch_index")
ask = script["_ask"]
ask.__globals__["_SECONDS"] = 1
ask.__globals__["urlopen"] = lambda *_, **__: threading.Event().wait()
ask("https://torch.example")
"""
