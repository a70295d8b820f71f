"""Damaged bodies of every format: an array as promised, or a problem, nothing else."""

import asyncio
import http.client
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from app.calls.elbo import ElboOptions
from app.calls.impute import ImputeOptions
from app.errors import ProblemError
from app.http.reader import Reader
from app.http.request import Request
from app.http.response_budget import ResponseBudget
from app.settings import Settings
from app.wire.layout import Array
from model import checkpoint
from tests.app.pictures import image_model
from tests.app.processes import SECONDS, process
from tests.app.wire import fuzz
from tests.app.wire.mutations import Case, cases, mutated
from tests.unhurried import UNHURRIED

SHAPES = ((4, 4), (5, 6, 3))
MAX_ROWS = 64
N_QUICK, N_ALL, N_ASKED = 400, 10_000, 300
ORIGINALS: dict[tuple[int, ...], tuple[Case, ...]] = {
    shape: cases(shape) for shape in SHAPES
}
quick = settings(UNHURRIED, max_examples=N_QUICK // 2, derandomize=True)


class Readers:
    """The service's readers for one model, from bodies to arrays."""

    def __init__(self, path: Path) -> None:
        served = checkpoint.load(path)
        self._reader = Reader(
            served, Settings(checkpoint=path, threads=1, max_rows=MAX_ROWS)
        )
        self._dim = served.config.data_dim
        self._runner = asyncio.Runner()

    def check(self, case: Case) -> bool:
        """Read a body; say whether it was one, after checking what came of it."""
        try:
            x = self._runner.run(self._read(case))
        except ProblemError as problem:
            _check_problem(problem)
            return False
        assert x.dtype == np.float32
        assert x.shape[1:] == (self._dim,)
        assert 1 <= len(x) <= MAX_ROWS
        assert np.isfinite(x).all()
        return True

    def close(self) -> None:
        """End the loop."""
        self._runner.close()

    async def _read(self, case: Case) -> Array:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": case.body, "more_body": False}

        scope = {
            "method": "POST",
            "path": "/",
            "query_string": case.query,
            "headers": [(b"content-type", case.media_type.encode())],
        }
        request = Request(scope, receive, ResponseBudget(max_bytes=1 << 20))
        if case.is_masked:
            masked, _ = await self._reader.read_masked(request, ImputeOptions)
            rows, observed = masked.x, masked.observed
            assert observed.shape == rows.values.shape
            assert observed.dtype == np.bool_
            assert (rows.values[~observed] == 0).all()
        else:
            rows, _ = await self._reader.read(request, self._reader.x, ElboOptions)
        return rows.values


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, ...], Path]:
    """Write a model of gray images and one of images in color."""
    root = tmp_path_factory.mktemp("images")
    return {
        shape: image_model(root / str(len(shape)), "bernoulli", shape)
        for shape in SHAPES
    }


@pytest.fixture(scope="module")
def readers(
    paths: dict[tuple[int, ...], Path],
) -> Iterator[dict[tuple[int, ...], Readers]]:
    """Have the readers of both."""
    made = {shape: Readers(path) for shape, path in paths.items()}
    yield made
    for one in made.values():
        one.close()


def test_what_is_mutated_was_right(readers: dict[tuple[int, ...], Readers]) -> None:
    """Each body, of each format, is read before anything has befallen it."""
    for shape, originals in ORIGINALS.items():
        assert {case.name for case in originals} == {
            *("safetensors", "npy", "masked", "JSON", "PNG", "JPEG")
        }
        for case in originals:
            assert readers[shape].check(case), case


@pytest.mark.slow("tries many mutations")
@quick
@given(mutated(ORIGINALS[SHAPES[0]]))
def test_gray(readers: dict[tuple[int, ...], Readers], case: Case) -> None:
    """A damaged body for gray images is read in full or refused in full."""
    readers[SHAPES[0]].check(case)


@pytest.mark.slow("tries many mutations")
@quick
@given(mutated(ORIGINALS[SHAPES[1]]))
def test_colored(readers: dict[tuple[int, ...], Readers], case: Case) -> None:
    """So is one for images in color."""
    readers[SHAPES[1]].check(case)


@pytest.mark.slow("tries many mutations")
@pytest.mark.parametrize("shape", SHAPES)
def test_thousands_of_others(
    readers: dict[tuple[int, ...], Readers], shape: tuple[int, ...]
) -> None:
    """So are others, which differ from run to run; drawn without hypothesis, sooner."""
    generator = random.Random()

    for _ in range(N_ALL // 2):
        case = fuzz.mutated(ORIGINALS[shape], generator)
        try:
            readers[shape].check(case)
        except Exception as error:
            raise AssertionError(f"failed for {case}") from error


def _check_problem(problem: ProblemError) -> None:
    document = problem.document(instance="/", request_id="1")

    assert problem.status in {413, 422}
    assert len(document) < 1000
    assert json.loads(document)["detail"]


class Asker:
    """A client of a real process, which asks for something right after each attack."""

    def __init__(self, address: str, honest: Case) -> None:
        at = address.removeprefix("http://")
        self._connection = http.client.HTTPConnection(at, timeout=SECONDS)
        self._honest = honest
        self._wanted = self.ask(honest)
        assert self._wanted[0] == 200

    def ask(self, case: Case) -> tuple[int, bytes]:
        """Return status and body of the answer to a case."""
        path = "/impute" if case.is_masked else "/encode"
        self._connection.request(
            "POST",
            f"{path}?{case.query.decode()}",
            case.body,
            {"content-type": case.media_type},
        )
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def check(self, case: Case) -> None:
        """Ask for a case, then for what is right."""
        status, body = self.ask(case)

        assert status in {200, 413, 422}, (status, body)
        assert isinstance(json.loads(body), dict)
        assert self.ask(self._honest) == self._wanted


@pytest.fixture(scope="module")
def asker(paths: dict[tuple[int, ...], Path]) -> Iterator[Asker]:
    """Serve gray images."""
    honest = next(case for case in ORIGINALS[SHAPES[0]] if case.name == "JSON")
    body = json.dumps({"x": json.loads(honest.body)["x"]}).encode()
    environment = {"VAE_CHECKPOINT": str(paths[SHAPES[0]])}
    with process(environment) as (address, _):
        one = Asker(address, honest._replace(body=body))
        yield one
        one.close()


@pytest.mark.slow("starts processes")
@settings(UNHURRIED, max_examples=N_ASKED, derandomize=True)
@given(mutated(ORIGINALS[SHAPES[0]]))
def test_a_process_answers_the_next_request(asker: Asker, case: Case) -> None:
    """Whatever comes is no defect, and what comes after is answered as before."""
    asker.check(case)
