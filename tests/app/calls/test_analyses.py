"""What holds for every analysis over HTTP: formats, seeds, rows on their own."""

import asyncio
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import load, save

from model.noise import Stream, uniform
from tests.app.known import Known
from tests.app.served import Served, assert_problem

ANALYSES = ["loglik", "gap", "refine", "posterior"]
X = {"x": [[0, 1] * 8, [1, 1] * 8]}


@pytest.mark.slow("runs each analysis in every format")
@pytest.mark.parametrize("name", ANALYSES)
def test_formats_say_the_same(plane: Served, name: str) -> None:
    """JSON, safetensors and npy in; JSON and safetensors out, flags too."""
    x = np.array(X["x"], np.float32)
    npy = BytesIO()
    np.save(npy, x)
    as_safetensors = {"accept": "application/vnd.safetensors"}

    wanted = plane.post(f"/{name}", {**X, "seed": 3}).json()
    by_safetensors = plane.post_raw(
        f"/{name}?seed=3",
        save({"x": x}),
        {"content-type": "application/vnd.safetensors", **as_safetensors},
    )
    by_npy = plane.post_raw(
        f"/{name}?seed=3", npy.getvalue(), {"content-type": "application/x-npy"}
    )

    assert by_npy.json() == wanted
    assert by_safetensors.headers["vae-seed"] == "3"
    tensors = load(by_safetensors.content)
    scalars = {"seed", "binarize", "units"}
    assert tensors.keys() == wanted.keys() - scalars
    for key, values in tensors.items():
        np.testing.assert_array_equal(values, np.array(wanted[key], values.dtype))
    assert tensors.get("converged", tensors.get("is_reliable")).dtype == np.bool_  # type: ignore[union-attr]  # each has one of them


@pytest.mark.slow("computes analyses")
@pytest.mark.parametrize("name", ["loglik", "gap", "refine"])
def test_a_row_is_its_own(bernoulli: Served, name: str) -> None:
    """Rows beyond a slice, asked about alone at their position, answer the same."""
    x = (np.random.default_rng(0).random((20, 16)) > 0.5).astype(int).tolist()

    whole = bernoulli.post(f"/{name}", {"x": x, "seed": 5}).json()
    part = bernoulli.post(f"/{name}", {"x": x[17:], "seed": 5, "first": 17}).json()

    for key, values in part.items():
        if isinstance(values, list):
            alone = np.array(values, np.float64)
            together = np.array(whole[key][17:], np.float64)
            np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-3)


@pytest.mark.slow("runs analyses beside others")
@pytest.mark.parametrize("name", ANALYSES)
def test_load_does_not_matter(plane: Served, name: str) -> None:
    """The same request has the same bytes, alone and among others."""
    asked = ("POST", f"/{name}", {"json": {**X, "seed": 5}})

    alone = plane.together([asked])[0]
    among = plane.together(
        [("POST", "/gap", {"json": X}), asked, ("POST", "/refine", {"json": X}), asked]
    )

    assert among[1].content == among[3].content == alone.content


@pytest.mark.slow("computes analyses")
@pytest.mark.parametrize("name", ANALYSES)
def test_a_missing_seed_is_told(plane: Served, name: str) -> None:
    """A seed that the server drew repeats the answer."""
    first = plane.post(f"/{name}", X).json()

    again = plane.post(f"/{name}", {**X, "seed": first["seed"]}).json()

    assert again == first


@pytest.mark.slow("computes analyses")
@pytest.mark.parametrize("name", ANALYSES)
def test_gray_values_are_binarized_as_asked(plane: Served, name: str) -> None:
    """By threshold and by the seed's own draw, and refused without."""
    gray = np.random.default_rng(1).random((2, 16)).astype(np.float32)
    noise = uniform((2, 16), seed=5, stream=Stream.BINARIZATION)

    for how, binary in (("threshold", gray >= 0.5), ("sample", noise < gray)):
        asked = {"x": gray.tolist(), "seed": 5, "binarize": how}
        found = plane.post(f"/{name}", asked).json()
        direct = plane.post(f"/{name}", {"x": binary.astype(int).tolist(), "seed": 5})
        assert found == {**direct.json(), "binarize": how}
    asked = {"x": gray[1:].tolist(), "seed": 5, "binarize": "sample", "first": 1}
    found = plane.post(f"/{name}", asked).json()
    x = (noise < gray)[1:].astype(int).tolist()
    direct = plane.post(f"/{name}", {"x": x, "seed": 5, "first": 1})
    assert found == {**direct.json(), "binarize": "sample"}
    problem = assert_problem(plane.post(f"/{name}", {"x": gray.tolist()}), 422)
    assert problem["errors"][0]["pointer"] == "/x/0/0"
    assert "binarize" in problem["detail"]


@pytest.mark.slow("computes analyses")
@pytest.mark.parametrize("name", ["loglik", "gap", "refine"])
def test_a_row_that_overflows_is_named(linear: Served, name: str) -> None:
    """Densities that are not finite are a 422 about that row, never null."""
    overflow(linear, name)


@pytest.mark.slow("integrates over one and two dimensions")
def test_a_row_without_an_integral_is_named(known: Known) -> None:
    """So are integrals over such densities."""
    overflow(known.served, "posterior")


def overflow(served: Served, name: str) -> None:
    """Ask about a row that overflows, after a slice of others."""
    width = served.checkpoint.config.data_dim
    x = [[0.0] * width] * 17 + [[1e38] * width]

    problem = assert_problem(served.post(f"/{name}", {"x": x}), 422)

    assert problem["errors"][0]["pointer"] == "/x/17"
    assert "not finite" in problem["detail"]


@pytest.mark.slow("computes analyses")
def test_encode_does_not_wait_for_an_analysis(
    bernoulli: Served, checkpoints: Path
) -> None:
    """A long `/gap` is under way while `/encode`, long ones too, come and go."""
    x = [[0, 1] * 8] * 4000

    async def ask(served: Served) -> tuple[list[int], int, bool]:
        transport = httpx.ASGITransport(served.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test"
        ) as client:
            gap = {"x": x, "budget": 65_536, "target": 0}
            long = asyncio.ensure_future(client.post("/gap", json=gap))
            encoded = [
                (await client.post("/encode", json={"x": x[:n]})).status_code
                for n in (4000, 1, 4000, 1)
            ]
            second = await client.post("/gap", json={"x": x[:1]})
            was_done = long.done()
            long.cancel()
            return encoded, second.status_code, was_done

    results = []
    with Served(
        checkpoints / "bernoulli", max_analyses=1, max_analysis_rows=4000
    ) as served:

        async def keep() -> None:
            results.append(await ask(served))

        served.run(keep())

    # The second analysis is refused because the first is in progress.
    assert results == [([200] * 4, 429, False)]
