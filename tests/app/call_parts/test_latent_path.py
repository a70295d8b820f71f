"""`/interpolate` and `/traverse`: exact ends, points where they belong, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from model import checkpoint
from model.checkpoint.held_out import (
    AggregateQuantiles,
    AggregateSettings,
    Calibration,
    Scores,
    ScoreSettings,
)
from tests import normal
from tests.app.served import Served, assert_problem
from tests.tiny import save_tiny, tiny_config, tiny_vae

SCORES = Scores(
    np.zeros(3),
    ScoreSettings(split="validation", binarization="static", n_samples=4, noise_seed=0),
)
ENDS = [[0.5, -1.25, 2.0], [-1.0, 0.3, 0.7]]
X = [[0, 1] * 8, [1, 1] * 8]
SAFETENSORS = "application/vnd.safetensors"


def ask(served: Served, url: str, **document: Any) -> dict[str, Any]:
    """Return the answer, arrays as numpy's."""
    response = served.post(url, document)
    assert response.status_code == 200, response.text
    return {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in response.json().items()
    }


@pytest.mark.parametrize("path", ["straight", "great_circle"])
def test_the_ends_are_those_of_decode_to_the_bit(bernoulli: Served, path: str) -> None:
    """First and last point are the latents given, and decode as they do alone."""
    found = ask(bernoulli, "/interpolate", z=ENDS, n=7, path=path)

    assert found["z"].shape == (7, 3)
    assert found["mean"].shape == (7, 4, 4)
    for i, end in ((0, ENDS[0]), (-1, ENDS[1])):
        alone = ask(bernoulli, "/decode", z=[end])
        np.testing.assert_array_equal(found["mean"][i], alone["mean"][0])
        assert found["z"][i].tolist() == end
    whole = ask(bernoulli, "/decode", z=found["z"].tolist())
    np.testing.assert_array_equal(found["mean"], whole["mean"])
    assert found["path"] == path


def test_rows_are_encoded_to_their_means(conv: Served) -> None:
    """The ends of x are mu of `/encode`, to the bit; rows may be shaped."""
    x = np.random.default_rng(0).random((2, 8, 8, 2)).tolist()

    found = ask(conv, "/interpolate", x=x, n=2)

    np.testing.assert_array_equal(found["z"], ask(conv, "/encode", x=x)["mu"])
    flat = np.array(x).reshape(2, -1).tolist()
    assert ask(conv, "/interpolate", x=flat, n=2)["z"].tolist() == found["z"].tolist()


def test_a_straight_path_has_equal_steps(bernoulli: Served) -> None:
    """(1 - t) z_1 + t z_2 at t = i / (n - 1)."""
    found = ask(bernoulli, "/interpolate", z=ENDS, n=5, path="straight")

    t = np.arange(5)[:, None] / 4
    a, b = np.array(ENDS)
    np.testing.assert_allclose(found["z"], (1 - t) * a + t * b, atol=1e-6)


def test_a_great_circle_has_equal_angles_and_even_norms(bernoulli: Served) -> None:
    """By default; the norm goes evenly, the direction turns evenly."""
    found = ask(bernoulli, "/interpolate", z=ENDS)

    z = found["z"]
    assert len(z) == 11
    norms = np.linalg.norm(z, axis=1)
    np.testing.assert_allclose(np.diff(norms), (norms[-1] - norms[0]) / 10, atol=1e-5)
    unit = z / norms[:, None]
    angles = np.arccos((unit[1:] * unit[:-1]).sum(axis=1))
    whole = np.arccos(unit[0] @ unit[-1])
    np.testing.assert_allclose(angles, whole / 10, atol=1e-4)
    assert found["path"] == "great_circle"


def test_a_dimension_takes_the_quantiles_of_the_prior(bernoulli: Served) -> None:
    """Phi^-1((i + 1/2) / n); the others are held; decoded as `/decode` does."""
    base = [0.5, -1.25, 2.0]
    found = ask(bernoulli, "/traverse", z=[base], dims=[2, 0], n=5)

    assert found["dims"].tolist() == [2, 0]
    np.testing.assert_allclose(found["levels"], [0.1, 0.3, 0.5, 0.7, 0.9])
    quantiles = normal.quantiles(found["levels"])
    for path, dim in zip(found["z"], (2, 0), strict=True):
        others = [j for j in range(3) if j != dim]
        np.testing.assert_allclose(path[:, dim], quantiles, rtol=1e-6, atol=1e-7)
        assert (path[:, others] == np.array(base)[others]).all()
    decoded = ask(bernoulli, "/decode", z=found["z"].reshape(-1, 3).tolist())
    assert found["mean"].shape == (2, 5, 4, 4)
    flat = found["mean"].reshape(-1, 4, 4)
    np.testing.assert_array_equal(flat, decoded["mean"])


def test_a_dimension_takes_the_quantiles_of_the_aggregate(tmp_path: Path) -> None:
    """Those that the checkpoint holds, and of a Gaussian aggregate all between."""
    levels, mu, sigma = np.array([0.05, 0.4, 0.95]), np.arange(3.0), np.array([2, 1, 3])
    aggregate = AggregateQuantiles(
        levels=levels,
        values=mu[:, None] + sigma[:, None] * normal.quantiles(levels),
        settings=AggregateSettings(
            split="validation", binarization="static", n_examples=9
        ),
    )
    content = Calibration({"negative_elbo": SCORES}, aggregate).to_bytes()
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(4, 4)))
    path = save_tiny(tmp_path / "full", vae, {checkpoint.CALIBRATION: content})

    with Served(path) as served:
        found = ask(served, "/traverse", z=ENDS[:1], n=10, scale="aggregate")
        of_prior = ask(served, "/traverse", z=ENDS[:1], n=10)
        far = served.post("/traverse", {"z": ENDS[:1], "n": 11, "scale": "aggregate"})

    assert found["scale"] == "aggregate"
    assert of_prior["scale"] == "prior"
    wanted = mu[:, None] + sigma[:, None] * normal.quantiles(found["levels"])
    moved = found["z"][np.arange(3), :, np.arange(3)]
    np.testing.assert_allclose(moved, wanted, rtol=1e-6, atol=1e-6)
    held = found["z"][0][:, 1:]
    assert (held == np.array(ENDS[0])[1:]).all()
    fault = assert_problem(far, 422)["errors"][0]
    assert fault["pointer"] == "/n"
    assert "expected levels in [0.05, 0.95], got 0.045" in fault["detail"]


@pytest.mark.parametrize("name", ["bernoulli", "plane"])
def test_a_checkpoint_without_quantiles_says_so(
    name: str, request: pytest.FixtureRequest
) -> None:
    """One from before they were written, with held-out scores or without."""
    served = request.getfixturevalue(name)
    z = [[0.0] * served.checkpoint.config.latent_dim]

    answer = served.post("/traverse", {"z": z, "scale": "aggregate"})

    fault = assert_problem(answer, 422)["errors"][0]
    assert fault["pointer"] == "/scale"
    assert fault["detail"].startswith("expected prior: this checkpoint has no")


def test_a_row_is_traversed_from_its_mean(bernoulli: Served) -> None:
    """All dimensions if none is named."""
    found = ask(bernoulli, "/traverse", x=X[:1], n=1)

    mu = ask(bernoulli, "/encode", x=X[:1])["mu"][0]
    assert found["dims"].tolist() == [0, 1, 2]
    wanted = np.where(np.eye(3), 0, mu)
    np.testing.assert_array_equal(found["z"][:, 0], wanted)


def test_formats_say_the_same(bernoulli: Served) -> None:
    """Safetensors in and out, options in the query, dimensions too."""
    both = {"content-type": SAFETENSORS, "accept": SAFETENSORS}
    z = np.array(ENDS, np.float32)

    for url, body, options in (
        ("/interpolate?n=4&path=straight", z, {"n": 4, "path": "straight"}),
        ("/traverse?n=4&dims=0,2", z[:1], {"n": 4, "dims": [0, 2]}),
        ("/traverse?n=4&dims=1", z[:1], {"n": 4, "dims": [1]}),
    ):
        answer = bernoulli.post_raw(url, save({"z": body}), both)
        wanted = ask(bernoulli, url.split("?")[0], z=body.tolist(), **options)
        tensors = load(answer.content)
        assert tensors.keys() == wanted.keys() - {"path", "scale"}
        for name, values in tensors.items():
            np.testing.assert_array_equal(values, wanted[name].astype(values.dtype))


@pytest.mark.parametrize(
    ("url", "document", "pointer", "words"),
    [
        ("/interpolate", {"z": ENDS[:1]}, "/z", "expected 2 rows, got 1"),
        ("/interpolate", {"x": X * 2}, "/x", "expected 2 rows, got 4"),
        ("/interpolate", {}, "", "exactly one of x and z, got neither"),
        ("/interpolate", {"path": "x"}, "", "exactly one of x and z, got neither"),
        ("/interpolate", {"x": X, "z": ENDS}, "", "exactly one of x and z, got both"),
        ("/interpolate", {"z": ENDS, "n": 1}, "/n", "greater than or equal to 2"),
        ("/interpolate", {"z": ENDS, "path": "x"}, "/path", "'great_circle'"),
        ("/interpolate", {"z": ENDS, "dims": [0]}, "/dims", "unknown name"),
        ("/interpolate", {"z": [[0, 0]] * 2}, "/z/0", "expected [N, 3]"),
        ("/traverse", {"z": ENDS}, "/z", "expected 1 rows, got 2"),
        ("/traverse", {"z": ENDS[:1], "dims": [0, 3]}, "/dims/1", "0 to 2, got 3"),
        ("/traverse", {"z": ENDS[:1], "dims": [-1]}, "/dims", "greater than or equal"),
        ("/traverse", {"z": ENDS[:1], "dims": []}, "/dims", "got none"),
        ("/traverse", {"z": ENDS[:1], "dims": "a"}, "/dims", "got a string"),
        ("/traverse", {"z": ENDS[:1], "scale": "x"}, "/scale", "'aggregate'"),
        ("/traverse", {"z": ENDS[:1], "n": 0}, "/n", "greater than or equal to 1"),
    ],
)
def test_faults_are_told(
    bernoulli: Served, url: str, document: dict[str, Any], pointer: str, words: str
) -> None:
    """422 points to what is wrong and says what was wanted."""
    problem = assert_problem(bernoulli.post(url, document), 422)

    assert problem["errors"][0]["pointer"] == pointer
    assert words in problem["errors"][0]["detail"]


def test_what_is_not_finite_is_told(linear: Served) -> None:
    """A mean that overflows is a 422 about what was sent."""
    z = [[3e38] * 3, [-3e38] * 3]

    problem = assert_problem(linear.post("/interpolate", {"z": z}), 422)

    assert problem["errors"][0]["pointer"] == "/z"
    assert "not finite" in problem["detail"]


def test_limits_are_kept(checkpoints: Path) -> None:
    """413 states the most points, and the most values, before anything is decoded."""
    with Served(
        checkpoints / "bernoulli", max_rows=10, max_output_values=5 * 16
    ) as served:
        for url, document, words in (
            ("/interpolate", {"z": ENDS, "n": 11}, "at most 10 points, got 11"),
            ("/interpolate", {"z": ENDS, "n": 6}, "the limit is 80 "),
            ("/traverse", {"z": ENDS[:1], "n": 4}, "at most 10 points, got 12"),
            ("/traverse", {"z": ENDS[:1], "n": 2}, "the limit is 80 "),
        ):
            problem = assert_problem(served.post(url, document), 413)
            assert words in problem["detail"]
        assert served.post("/interpolate", {"z": ENDS, "n": 5}).status_code == 200


def test_an_array_needs_its_name(bernoulli: Served) -> None:
    """Npy could be x or z; 415 names what can be sent."""
    answer = bernoulli.post_raw("/traverse", b"", {"content-type": "application/x-npy"})

    assert SAFETENSORS in assert_problem(answer, 415)["detail"]
