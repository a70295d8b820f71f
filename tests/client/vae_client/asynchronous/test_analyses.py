"""The analyses and the paths by both clients: the service's results, split or whole."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from model import checkpoint
from model.checkpoint.held_out import (
    AggregateQuantiles,
    AggregateSettings,
    Calibration,
    Examples,
    Scores,
    ScoreSettings,
)
from tests import plain_http
from tests.app.live import serving
from tests.app.processes import SECONDS
from tests.app.served import Served
from tests.client.conftest import Ask
from tests.client.faulty import FaultyProxy, answer, cut
from tests.client.planned import result_of, with_limits
from tests.client.vae_client.asynchronous.test_client import BINARY, posted
from tests.tiny import save_tiny, tiny_config, tiny_vae
from vae_client import ModelResult, RequestError, plans
from vae_client.analysis_results import (
    AnalysisResult,
    AnomalyResult,
    GapResult,
    ImputeResult,
    LoglikResult,
    RefineResult,
)

pytestmark = pytest.mark.slow("asks for analyses in a service of its own")

Rows = NDArray[np.float32]

# One row of `/posterior`, and not 256 of `/gap`.
MAX_WORK = 40_000_000
MASK = np.tile([True, True, False, True], 4)
Split = type[AnalysisResult]
SPLIT: list[tuple[str, Split, dict[str, Any]]] = [
    ("loglik", LoglikResult, {"n_samples": 3}),
    ("loglik", LoglikResult, {"target": 0.5, "budget": 512, "first": 4}),
    ("gap", GapResult, {"target": 0.5, "budget": 256, "first": 3}),
    ("refine", RefineResult, {"first": 2}),
    ("anomaly", AnomalyResult, {"first": 1}),
    ("impute", ImputeResult, {"n_samples": 2, "n_draws": 30, "first": 7}),
]
CALLS = [*((verb, options) for verb, _, options in SPLIT), ("posterior", {})]


def save_full(directory: Path) -> Path:
    """Write a checkpoint of two latent dimensions that has all that one may have."""
    settings = ScoreSettings(
        split="validation", binarization="static", n_samples=4, noise_seed=0
    )
    aggregate = AggregateQuantiles(
        levels=np.array([0.01, 0.99]),
        values=np.array([[-4.0, 4.0], [-1.0, 3.0]]),
        settings=AggregateSettings(
            split="validation", binarization="static", n_examples=9
        ),
    )
    scores = {"negative_elbo": Scores(np.linspace(9, 14, 99), settings)}
    rows = np.eye(16, dtype=np.float32)[:5]
    return save_tiny(
        directory,
        tiny_vae(tiny_config("bernoulli", data_shape=(4, 4), latent_dim=2)),
        {
            checkpoint.CALIBRATION: Calibration(scores, aggregate).to_bytes(),
            checkpoint.EXAMPLES: Examples(rows, None, np.arange(5)).to_bytes(),
        },
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return such a checkpoint."""
    return save_full(tmp_path_factory.mktemp("full") / "plane")


@pytest.fixture(scope="module")
def address(path: Path) -> Iterator[str]:
    """Serve it on a port, 256 rows of an analysis at a time."""
    with serving(path, max_analysis_work=MAX_WORK) as address:
        yield address


@pytest.fixture(scope="module")
def whole(path: Path) -> Iterator[Served]:
    """Serve it in this process, all rows of an analysis at once."""
    with Served(path, max_analysis_rows=10_000) as served:
        yield served


@pytest.fixture(scope="module")
def model(whole: Served) -> ModelResult:
    """Return what the service in this process says that it serves."""
    return result_of(whole, plans.served_model())


@pytest.fixture(scope="module")
def x() -> Rows:
    """Return 10,000 different binary rows."""
    return np.random.default_rng(8).integers(0, 2, (10_000, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def scored(whole: Served, x: Rows) -> dict[str, Any]:
    """Return the scores of all rows, from one request."""
    return answered_bits(whole, "/anomaly?seed=3", x=x)


@pytest.fixture(scope="module")
def integrated(whole: Served, x: Rows) -> dict[str, Any]:
    """Return the posteriors of three rows, from one request."""
    return answered_bits(whole, "/posterior", x=x[:3])


def assert_same(result: object, wanted: dict[str, Any]) -> None:
    """Check that a result has what JSON says, arrays to the bit."""
    for name, value in wanted.items():
        found = getattr(result, name)
        if isinstance(found, np.ndarray):
            array = np.array(value, found.dtype)  # null is NaN
            assert found.shape == array.shape, name
            np.testing.assert_array_equal(found, array, name)
        else:
            assert found == (None if value == [] else value), name


def answered_bits(served: Served, path: str, **tensors: NDArray[Any]) -> dict[str, Any]:
    """Return the arrays that the service answers to one request."""
    came = served.post_raw(path, save(tensors), BINARY)
    assert came.status_code == 200, came.text
    return load(came.content)


@pytest.fixture(scope="module")
def answers(address: str) -> Callable[[str, str], dict[str, Any]]:
    """Return what asks the service for an analysis, the same one only once."""

    @cache
    def answer(path: str, document: str) -> dict[str, Any]:
        return posted(address, path, json.loads(document))

    return answer


@pytest.mark.parametrize(("verb", "options"), CALLS)
def test_an_analysis_answers_what_the_service_does(
    address: str,
    ask: Ask,
    answers: Callable[[str, str], dict[str, Any]],
    x: Rows,
    verb: str,
    options: dict[str, Any],
) -> None:
    """Every option arrives, and every member comes back, in float64 where it is."""
    rows = x[:1] if verb == "posterior" else x[:2]
    how = "sample" if verb == "anomaly" else "threshold"
    options = {**options, "seed": 5, "binarize": how}
    if verb == "anomaly":  # as its held-out rows, drawn in order
        options["first"] = 0
    document = {"x": rows.tolist(), **options}
    mask = [np.tile(MASK, (len(rows), 1))] if verb == "impute" else []
    if mask:
        document["mask"] = mask[0].astype(int).tolist()

    found = ask(address, verb, rows, *mask, **options)

    wanted = answers(f"/{verb}", json.dumps(document))
    assert (found.units, found.seed, found.binarize) == ("nats", 5, how)
    assert_same(found, wanted)
    present = {name for name, value in vars(found).items() if value is not None}
    assert present == {
        name for name, value in wanted.items() if value not in (None, [])
    }


def test_an_upper_bound_comes_on_request(address: str, ask: Ask, x: Rows) -> None:
    """It has a standard error and diagnostics; without `upper` all four are None."""
    options: dict[str, Any] = {"n_samples": 8, "upper": True, "seed": 2}

    found = ask(address, "loglik", x[:1], **options)

    assert_same(found, posted(address, "/loglik", {"x": x[:1].tolist(), **options}))
    for name in ("upper", "upper_standard_error", "r_hat", "acceptance"):
        assert getattr(found, name).shape == (1,)
    assert found.upper > found.log_p_x - 1


@pytest.mark.parametrize(("verb", "result", "options"), SPLIT)
def test_pieces_have_the_bits_of_the_whole(
    whole: Served,
    model: ModelResult,
    x: Rows,
    verb: str,
    result: Split,
    options: dict[str, Any],
) -> None:
    """Split at multiples of 16 rows, each sent with its position, joined in order."""
    n, limited = 36, with_limits(model, max_analysis_rows=20)
    first = options.get("first", 0)
    options = {name: value for name, value in options.items() if name != "first"}
    query = [f"{name}={str(value).lower()}" for name, value in options.items()]
    query += ["seed=9", f"first={first}"]
    tensors: dict[str, NDArray[Any]] = {"x": x[:n]}
    if verb == "impute":
        tensors["mask"] = np.tile(MASK, (n, 1))

    plan = plans.analysis(
        limited, f"/{verb}", result, tensors, {**options, "seed": 9}, first=first
    )
    found = result_of(whole, plan)

    starts = [request.first_row for request in plan.requests]
    assert starts == [0, 16, 32]
    wanted = answered_bits(whole, f"/{verb}?{'&'.join(query)}", **tensors)
    for name, values in wanted.items():
        np.testing.assert_array_equal(getattr(found, name), values, name)


@pytest.mark.usefixtures("hurried")
def test_ten_thousand_rows_keep_their_order_and_their_noise(
    address: str, ask: Ask, scored: dict[str, Any], x: Rows
) -> None:
    """40 requests, two of which fail at first, have the bits of one."""
    with FaultyProxy(address) as proxy:
        proxy.actions.extend([cut, answer(503)])
        found = ask(proxy.url, "anomaly", x, seed=3, settings={"n_concurrent": 3})
        n_asked, most = len(proxy.targets("/anomaly")), proxy.most_together

    assert n_asked == 40 + 2
    assert most <= 3
    for name, values in scored.items():
        np.testing.assert_array_equal(getattr(found, name), values, name)
    assert found.n_calibration == 99
    assert found.surprise_per_dim.shape == (10_000, 4, 4)


def test_what_is_too_much_work_is_sent_in_halves(
    address: str, ask: Ask, integrated: dict[str, Any], x: Rows
) -> None:
    """The service takes one row of `/posterior`; three come back, in order."""
    with FaultyProxy(address) as proxy:
        found = ask(proxy.url, "posterior", x[:3])
        n_asked = len(proxy.targets("/posterior"))

    # Three are refused, then two of them, and each is answered alone.
    assert n_asked == 5
    for name, values in integrated.items():
        np.testing.assert_array_equal(getattr(found, name), values, name)


def test_sixteen_rows_are_not_halved(address: str, ask: Ask, x: Rows) -> None:
    """What has no exact halves raises the service's own error."""
    with FaultyProxy(address) as proxy:
        proxy.actions.extend([answer(413), answer(413)])
        with pytest.raises(RequestError, match="413 ") as refused:
            ask(proxy.url, "refine", x[:32])
        n_asked = len(proxy.targets("/refine"))

    assert refused.value.status == 413
    assert n_asked == 2


def test_rows_binarized_by_the_seed_are_halved_exactly(
    address: str, ask: Ask, x: Rows
) -> None:
    """Each half says its position, so the binary rows are those of the whole."""
    gray = (0.2 + 0.6 * x[:2]).astype(np.float32)

    found = ask(address, "posterior", gray, seed=4, binarize="sample")

    last = ask(address, "posterior", gray[1:], seed=4, binarize="sample", first=1)
    np.testing.assert_array_equal(found.log_p_x[1:], last.log_p_x)


def test_a_fault_in_a_mask_has_the_callers_row(address: str, ask: Ask, x: Rows) -> None:
    """The pointer counts all rows, not those of the piece."""
    mask = np.zeros((300, 16))  # of which nothing is to be fitted
    mask[299, 3] = 2

    with pytest.raises(RequestError) as refused:
        ask(address, "impute", x[:300], mask)

    assert refused.value.errors[0].pointer == "/mask/299/3"


def test_what_is_missing_may_be_nan(address: str, ask: Ask, x: Rows) -> None:
    """It is not read, so any other number gives the same result."""
    mask = np.tile(MASK, (2, 1))
    rows = np.where(mask, x[:2], np.nan)

    found = ask(address, "impute", rows, mask, seed=1)
    again = ask(address, "impute", x[:2], mask.astype(int), seed=1)

    np.testing.assert_array_equal(found.samples, again.samples)
    known = mask.reshape(2, 4, 4)
    np.testing.assert_array_equal(found.mean[known], x[:2].reshape(2, 4, 4)[known])


def test_paths_are_those_of_the_service(address: str, ask: Ask, x: Rows) -> None:
    """Of rows of x and of z, with every option."""
    z = [[0.5, -1.0], [2.0, 0.25]]
    for verb, arrays, options in (
        ("interpolate", {"z": z}, {"n": 4, "path": "straight"}),
        ("interpolate", {"x": x[:2].tolist()}, {}),
        ("traverse", {"z": z[:1]}, {"dims": [1], "n": 3, "scale": "aggregate"}),
        ("traverse", {"x": x[:1].tolist()}, {"dims": [1, 0]}),
        ("traverse", {"z": z[1:]}, {}),
    ):
        found = ask(address, verb, **arrays, **options)

        assert_same(found, posted(address, f"/{verb}", {**arrays, **options}))


def test_a_path_needs_one_kind_of_row(address: str, ask: Ask) -> None:
    """Both or neither is an error of the caller, before anything is sent."""
    for verb in ("interpolate", "traverse"):
        with pytest.raises(TypeError, match="exactly one of x and z, got neither"):
            ask(address, verb)
        with pytest.raises(TypeError, match="exactly one of x and z, got both"):
            ask(address, verb, x=[[0]], z=[[0]])


def test_held_out_rows_come_with_their_labels_and_scores(
    address: str, ask: Ask
) -> None:
    """As arrays in the shape of data, as the service returns them."""
    wanted = plain_http.get(f"{address}/examples", timeout=SECONDS).json()

    found = ask(address, "examples")

    assert found.x.shape == (5, 4, 4)
    assert found.elbo.quantiles.shape == (101,)
    for name in ("x", "labels"):
        np.testing.assert_array_equal(getattr(found, name), wanted[name])
    np.testing.assert_array_equal(found.elbo.quantiles, wanted["elbo"]["quantiles"])
    assert (found.elbo.n, found.elbo.n_samples) == (99, 4)
    assert (found.elbo.split, found.elbo.binarization) == ("validation", "static")


def test_the_limits_of_analyses_are_in_the_model(address: str, ask: Ask) -> None:
    """Rows, draws and work are among those of `/model`."""
    limits = ask(address, "model").limits

    assert limits.max_analysis_rows == 256
    assert limits.max_draws == 65_536
    assert limits.max_analysis_work == MAX_WORK
