"""Both clients against a live service: the results are its own, bit for bit."""

import inspect
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from app.settings import Settings as ServiceSettings
from tests import plain_http
from tests.app.processes import SECONDS
from tests.app.served import Served
from tests.client.conftest import MAX_ROWS, Ask
from tests.client.faulty import FaultyProxy, meeting
from vae_client import AsyncClient, Client, LimitError, RequestError

CLIENT = Path(__file__).parents[4] / "client"
Rows = NDArray[np.float32]
BINARY = {
    "content-type": "application/vnd.safetensors",
    "accept": "application/vnd.safetensors",
}


def same(result: object, wanted: dict[str, Any]) -> bool:
    """Say whether a result has what JSON says, arrays rounded to float32."""
    return all(
        np.array_equal(
            getattr(result, name),
            np.asarray(value, np.float32) if isinstance(value, list) else value,
        )
        for name, value in wanted.items()
    )


def posted(address: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return what the service answers to JSON."""
    response = plain_http.post(f"{address}{path}", json=document, timeout=60)
    answer: dict[str, Any] = response.json()
    return answer


def test_encode_and_decode_answer_what_the_service_does(
    address: str, ask: Ask, gray: Rows
) -> None:
    """Both return the arrays of the JSON response, whatever the dtype of the rows."""
    x, z = gray[:5].astype(np.float64), [[0, 1, -2], [3, 0, 1]]

    encoding = ask(address, "encode", x)
    decoding = ask(address, "decode", z)

    assert encoding.mu.dtype == np.float32
    assert same(encoding, posted(address, "/encode", {"x": x.tolist()}))
    assert decoding.mean.shape == (2, 4, 4)
    assert decoding.log_var is None
    assert same(decoding, posted(address, "/decode", {"z": z}))


@pytest.mark.parametrize("draw", ["mean", "sample"])
def test_sample_answers_what_the_service_does(
    address: str, ask: Ask, draw: str
) -> None:
    """Every option of `/sample` arrives."""
    options: dict[str, Any] = {"seed": 2**63 - 1, "temperature": 0.1, "draw": draw}

    sample = ask(address, "sample", 6, **options)

    assert sample.x.shape == (6, 4, 4)
    assert same(sample, posted(address, "/sample", {"n": 6, **options}))


@pytest.mark.parametrize("binarize", ["threshold", "sample"])
def test_elbo_answers_what_the_service_does(
    address: str, ask: Ask, gray: Rows, binarize: str
) -> None:
    """Every option of `/elbo` arrives, and every term comes back with its units."""
    options: dict[str, Any] = {"n_samples": 7, "seed": 5, "binarize": binarize}

    elbo = ask(address, "elbo", gray[:4], **options)

    assert elbo.units == "nats"
    assert same(elbo, posted(address, "/elbo", {"x": gray[:4].tolist(), **options}))


def test_without_binarize_there_is_no_such_parameter(address: str, ask: Ask) -> None:
    """An option that is None is not sent."""
    elbo = ask(address, "elbo", np.eye(4, dtype=bool)[None], seed=1)

    assert elbo.binarize is None
    assert elbo.n_samples == 1


def test_a_seed_not_given_is_drawn_and_returned(address: str, ask: Ask) -> None:
    """Two calls differ, and each can be had again by the seed it returned."""
    one, other = (ask(address, "sample", 3) for _ in range(2))

    again = ask(address, "sample", 3, seed=one.seed)

    assert one.seed != other.seed
    assert not np.array_equal(one.z, other.z)
    assert np.array_equal(one.x, again.x)
    assert max(one.seed, other.seed) < 2**53


def test_ten_thousand_rows_are_split_and_keep_their_order(
    proxy: FaultyProxy, ask: Ask, whole: Served, gray: Rows
) -> None:
    """15 requests give the bits of one, `n_concurrent` at once and no more."""
    response = whole.post_raw("/encode", save({"x": gray}), BINARY)
    proxy.actions.extend([meeting(3)] * 15)

    encoding = ask(proxy.url, "encode", gray, settings={"n_concurrent": 3})

    wanted = load(response.content)
    assert np.array_equal(encoding.mu, wanted["mu"])
    assert np.array_equal(encoding.log_var, wanted["log_var"])
    assert proxy.targets("/") == ["/model", *["/encode"] * 15]
    assert proxy.most_together == 3


def test_latents_are_split_too(address: str, ask: Ask, whole: Served) -> None:
    """Decoding 1,500 rows in three requests gives the bits of one."""
    z = np.random.default_rng(4).normal(size=(1500, 3)).astype(np.float32)
    response = whole.post_raw("/decode", save({"z": z}), BINARY)

    decoding = ask(address, "decode", z)

    assert np.array_equal(decoding.mean, load(response.content)["mean"])
    assert decoding.likelihood == "bernoulli"


def test_a_fault_in_a_piece_has_the_callers_row(
    address: str, ask: Ask, gray: Rows
) -> None:
    """The pointer and the detail count all rows, not those of the piece."""
    x = gray.copy()
    x[9000, 2, 1] = np.nan

    with pytest.raises(RequestError) as refused:
        ask(address, "encode", x)

    assert refused.value.errors[0].pointer == "/x/9000/2/1"
    assert refused.value.detail.startswith("/x/9000/2/1: expected a finite number")


@pytest.mark.parametrize("n_samples", [1, 3])
def test_stochastic_calls_are_split_with_one_seed(
    proxy: FaultyProxy, ask: Ask, whole: Served, gray: Rows, n_samples: int
) -> None:
    """1,500 rows in three requests have the bits of one, by seed and position."""
    options: dict[str, Any] = {"seed": 3, "n_samples": n_samples, "first": 5}
    options["binarize"] = "sample"
    query = "&".join(f"{name}={value}" for name, value in options.items())
    one = whole.post_raw(f"/elbo?{query}", save({"x": gray[:1500]}), BINARY)

    scored = ask(proxy.url, "elbo", gray[:1500], **options)

    wanted = load(one.content)
    assert np.array_equal(scored.elbo, wanted["elbo"])
    assert np.array_equal(scored.kl_per_dim, wanted["kl_per_dim"])
    assert scored.seed == 3
    targets = proxy.targets("/elbo")
    assert sorted(target.partition("first=")[2] for target in targets) == [
        "1005",
        "5",
        "505",
    ]
    assert len({target.partition("&first=")[0] for target in targets}) == 1


def test_samples_and_reconstructions_are_split_with_one_seed(
    proxy: FaultyProxy, ask: Ask, whole: Served, gray: Rows
) -> None:
    """A seed that the client drew is that of every piece."""
    sample = ask(proxy.url, "sample", 1500, draw="sample")
    drawn = ask(proxy.url, "reconstruct", gray[:800], n_samples=2, seed=4)

    url = f"/sample?n=1500&draw=sample&seed={sample.seed}"
    wanted = load(whole.get(url, headers=BINARY).content)
    assert np.array_equal(sample.x, wanted["x"])
    assert np.array_equal(sample.z, wanted["z"])
    body = save({"x": gray[:800]})
    one = whole.post_raw("/reconstruct?n_samples=2&seed=4", body, BINARY)
    assert np.array_equal(drawn.x, load(one.content)["x"])
    assert len(proxy.targets("/sample")) == 3
    assert len(proxy.targets("/reconstruct")) == 3


def test_an_analysis_without_exact_pieces_is_refused_unsent(
    proxy: FaultyProxy, ask: Ask
) -> None:
    """Noise that must be skipped beyond the service's limit is said before."""
    with pytest.raises(LimitError, match=r"/elbo accepts at most .* use fewer draws"):
        ask(proxy.url, "elbo", np.zeros((20_000, 16)), n_samples=20_000)

    assert proxy.targets("/") == ["/model"]


def test_progress_is_reported_after_each_request(address: str, ask: Ask) -> None:
    """With the rows that are done and those of the call; the last call has all."""
    seen: list[tuple[int, int]] = []
    settings = {"on_progress": lambda *progress: seen.append(progress)}

    ask(address, "encode", np.zeros((1500, 16)), settings=settings)
    ask(address, "elbo", np.zeros((2, 16)), settings=settings)

    assert seen == [(500, 1500), (1000, 1500), (1500, 1500), (2, 2)]


def test_limits_are_asked_for_once(proxy: FaultyProxy) -> None:
    """A client asks `/model` before its first call and not again."""
    with Client(proxy.url) as vae:
        assert proxy.arrivals == []
        vae.sample()
        vae.sample()

    assert len(proxy.targets("/model")) == 1


def test_model_describes_what_is_served(address: str, ask: Ask) -> None:
    """What a caller needs is typed, and the whole document is there."""
    card = plain_http.get(f"{address}/model", timeout=SECONDS).json()

    model = ask(address, "model")

    assert model.data_shape == (4, 4)
    assert model.latent_dim == 3
    assert model.likelihood.value_range == (0.0, 1.0)
    assert model.limits.max_rows == MAX_ROWS
    assert model.sha256 == card["sha256"]
    assert dict(model.document) == card


def test_one_client_serves_many_threads(address: str) -> None:
    """Each thread gets the results of its own calls."""
    with Client(address) as vae, ThreadPoolExecutor(8) as pool:
        seeds = range(40)
        samples = list(pool.map(lambda seed: vae.sample(2, seed=seed), seeds))
        alone = [vae.sample(2, seed=seed) for seed in seeds]

    for got, wanted in zip(samples, alone, strict=True):
        assert np.array_equal(got.x, wanted.x)


def test_a_key_is_sent_and_never_shown(proxy: FaultyProxy, ask: Ask) -> None:
    """It travels as a bearer's; neither client shows it."""
    ask(proxy.url, "sample", settings={"api_key": "s3cret"})

    for arrival in proxy.arrivals:
        assert arrival.headers["authorization"] == "Bearer s3cret"
    with Client(proxy.url, api_key="s3cret") as vae:
        assert repr(vae) == f"Client({proxy.url!r})"
    assert "s3cret" not in repr(AsyncClient(proxy.url, api_key="s3cret"))


def test_the_environment_is_an_argument(proxy: FaultyProxy) -> None:
    """A client is made by variables that a service in the same shell does not mind."""
    environ = {
        "HOME": "/",
        "VAECLIENT_URL": proxy.url,
        "VAECLIENT_API_KEY": "k",
    }

    with Client.from_environment(environ) as vae:
        vae.model()

    assert proxy.arrivals[0].headers["authorization"] == "Bearer k"
    assert ServiceSettings.from_environment(environ).port == 8000


@pytest.mark.slow("starts a process")
def test_importing_it_imports_nothing_of_the_service() -> None:
    """A client needs neither torch nor fastapi, nor the rest of this project."""
    program = (
        "import sys, vae_client; "
        "print(sorted({'torch', 'fastapi', 'pydantic', 'app', 'model'} "
        "& set(sys.modules)))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ended.stdout == "[]\n"


# Options that only a table of mixed kinds has in its document.
OF_TABLES = {
    "/decode": {"parameters"},
    "/impute": {"level"},
    "/sample": {"complete"},
}


def test_every_call_of_the_service_is_a_method_with_its_options(address: str) -> None:
    """The paths and the members of requests are those of the OpenAPI document."""
    document = plain_http.get(f"{address}/openapi.json", timeout=SECONDS).json()
    schemas = document["components"]["schemas"]

    posted = {
        path: item["post"]["requestBody"]["content"]["application/json"]["schema"]
        for path, item in document["paths"].items()
        if "post" in item
    }

    assert {"/encode", "/sample", "/impute"} < posted.keys()
    for path, schema in posted.items():
        forms = schema.get("oneOf") or schema.get("anyOf") or [schema]
        names = [form["$ref"].split("/")[-1] for form in forms]
        members = {member for name in names for member in schemas[name]["properties"]}
        # The options of images: this client sends and receives arrays.
        members -= {"x_png", "resize"}
        members |= {"unknown"} if "x" in members else set()
        members |= OF_TABLES.get(path, set())
        members -= {"columns", "scale"} if "columns" in members else set()
        method = inspect.signature(getattr(Client, path[1:]))
        assert method.parameters.keys() - {"self"} == members, path
