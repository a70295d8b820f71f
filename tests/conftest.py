"""
What the tests share, and the order in which they run.

The process that hands tests out to others loads this file and runs none of them, so
that this file imports nothing that takes long.
"""

import gc
import inspect
import logging
import math
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import partial
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def _interrupt(*_: object) -> None:
    """End the tests as Python's own handler does."""
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    """
    Load the fixtures of all tests where tests are run, and collect them fast.

    Have Ctrl-C end what tests start, also where a script runs them with `&`. Python's
    own handler would be replaced by each `asyncio.run`, which takes time: in
    `signal.signal` a text is made of the handler, and so of the result.
    """
    signal.signal(signal.SIGINT, _interrupt)
    if not _only_hands_out(config):
        for name in ("tests.tiny", "tests.proofs"):
            config.pluginmanager.register(import_module(name))
        _propagate_logs()
        _look_for_no_distributed_tensors()
        _import_no_compiler()
        gc.disable()  # what is imported and collected stays


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Run in a quarter more processes than cores: tests wait a fifth of their time."""
    n_cores = yield
    return math.ceil(1.25 * n_cores)


def _propagate_logs() -> None:
    """
    Have pytest attach its handlers to the root alone, thrice for each test.

    It does so to every logger that does not propagate, of which torch has dozens.
    """
    for name in logging.root.manager.loggerDict:
        if name.startswith("torch"):
            logging.getLogger(name).propagate = True


def _look_for_no_distributed_tensors() -> None:
    """
    Have `torch.testing.assert_close` compare ordinary tensors alone.

    For any others it imports what takes a second.
    """
    comparison = import_module("torch.testing._comparison")
    vars(comparison)["_HAS_DTENSOR"] = False


def _import_no_compiler() -> None:
    """
    Have torch compute shapes without its compiler, whose import takes two seconds.

    A function that the compiler is to leave alone imports it at its first call, to mark
    itself. Marked here, it is called as it is, unless something else has imported it.
    """
    optimizer = import_module("torch.optim").Optimizer
    marking = optimizer.zero_grad.__code__  # all such functions have the same code
    for one in gc.get_objects():
        if type(one) is FunctionType and one.__code__ is marking:
            function = inspect.getclosurevars(one).nonlocals["fn"]
            vars(function)["__dynamo_disable"] = partial(_left_alone, function)


def _left_alone(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function; if the compiler is there, in a way that it does not see."""
    compiler = sys.modules.get("torch._dynamo")
    if compiler is None:
        return function(*args, **kwargs)
    return compiler.disable(function, wrapping=False)(*args, **kwargs)


def _only_hands_out(config: pytest.Config) -> bool:
    """Say whether this is the process of pytest-xdist that other processes work for."""
    return bool(config.getoption("tx", None)) and not hasattr(config, "workerinput")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Have the files that take longest come first, so that all cores end together.

    These are files with slow tests, beginning with those of few tests, and then the
    others, beginning with those of many.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    n_tests = Counter(item.path for item in items)

    def order(item: pytest.Item) -> tuple[bool, int]:
        is_slow, n = item.path in slow, n_tests[item.path]
        return not is_slow, n if is_slow else -n

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """Have few collections of garbage, none of which looks at modules and tests."""
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start one browser for the tests of a module."""
    if _CHROMIUM is None:
        pytest.skip("chromium is absent")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is absent")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=_CHROMIUM, args=_QUIET)
        yield launched
        launched.close()
