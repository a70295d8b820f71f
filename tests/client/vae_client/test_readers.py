"""Results are read from complete responses only, and joined in order."""

import pickle
from copy import deepcopy
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from tests.app.served import Served
from tests.client.planned import result_of
from vae_client import (
    DecodeResult,
    ElboResult,
    ModelResult,
    TraverseResult,
    UnexpectedAnswerError,
    plans,
)
from vae_client.http_messages import SAFETENSORS, HttpRequest, HttpResponse
from vae_client.readers import join_rows, tensors_reader

TWO_ROWS = HttpRequest("POST", "/elbo", n_rows=2)


@pytest.fixture(scope="module")
def model(checkpoints: Path) -> ModelResult:
    """Return what a service of a Gaussian MLP says that it serves."""
    with Served(checkpoints / "gaussian") as served:
        return result_of(served, plans.served_model())


def safetensors(
    metadata: dict[str, str], **tensors: NDArray[np.float32]
) -> HttpResponse:
    """Return a response with these arrays."""
    return HttpResponse(
        200, {"content-type": SAFETENSORS}, save(tensors, metadata=metadata)
    )


def test_a_likelihood_without_bounds_has_no_range(model: ModelResult) -> None:
    """The support of a Gaussian is the real numbers."""
    assert model.likelihood.kind == "gaussian"
    assert model.likelihood.value_range is None


def test_columns_have_the_units_of_the_training(model: ModelResult) -> None:
    """Each column its own, or none; services of 0.3.0 do not say."""
    document = {**model.document, "column_units": ["kg", None]}
    older = {k: v for k, v in model.document.items() if k != "column_units"}

    assert replace(model, document=document).column_units == ("kg", None)
    assert model.column_units is None
    assert replace(model, document=older).column_units is None


def test_what_is_served_can_be_sent_to_another_process(model: ModelResult) -> None:
    """By pickle, as `multiprocessing` does; and copied, and be made a dict."""
    again = pickle.loads(pickle.dumps(model))

    assert again == model == deepcopy(model)
    assert again.document == model.document
    assert asdict(model)["document"] == model.document


def test_a_response_that_lacks_something_is_an_error() -> None:
    """A missing array, row or scalar never becomes another result."""
    read = tensors_reader(ElboResult)
    one, two = np.zeros(1, np.float32), np.zeros(2, np.float32)
    scalars = {"n_samples": "1", "seed": "1", "units": "nats"}
    arrays = {"elbo": two, "log_likelihood": two, "kl": two, "kl_per_dim": two}

    assert read(TWO_ROWS, safetensors(scalars, **arrays)).seed == 1
    assert read(TWO_ROWS, safetensors(scalars, **arrays)).elbo_standard_error is None
    for metadata, tensors, words in (
        (scalars, {**arrays, "kl": one}, r"'kl' of 2 rows, got \[1\]"),
        (scalars, {"elbo": two}, "a tensor 'log_likelihood'"),
        ({**scalars, "seed": "-"}, arrays, "'seed' to be an integer"),
        (
            {"seed": "1", "n_samples": "1"},
            arrays,
            "'units' in the metadata, got none from the service; is that the URL",
        ),
    ):
        with pytest.raises(UnexpectedAnswerError, match=words):
            read(TWO_ROWS, safetensors(metadata, **tensors))


def test_some_tensors_have_another_number_of_rows() -> None:
    """The levels of a traversal are as many as the points of one dimension."""
    read = tensors_reader(TraverseResult, {"levels": 3})
    two, three = np.zeros(2, np.float32), np.zeros(3, np.float32)
    arrays = {"z": two, "mean": two, "dims": two}

    assert len(
        read(TWO_ROWS, safetensors({"scale": "p"}, levels=three, **arrays)).levels
    )
    with pytest.raises(UnexpectedAnswerError, match="'levels' of 3 rows"):
        read(TWO_ROWS, safetensors({"scale": "p"}, levels=two, **arrays))


def test_parts_are_joined_in_order() -> None:
    """Arrays are put together, scalars are those of the first, None stays None."""
    parts = [
        DecodeResult(mean=np.array([[n]], np.float32), log_var=None, likelihood=str(n))
        for n in range(3)
    ]

    joined = join_rows(parts)

    assert joined.mean.tolist() == [[0], [1], [2]]
    assert (joined.log_var, joined.likelihood) == (None, "0")
    assert join_rows(parts[:1]) is parts[0]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"likelihood": 3}', b"<p>"])
def test_a_model_without_shapes_or_limits_is_an_error(body: bytes) -> None:
    """Another program's JSON has none."""
    plan = plans.served_model()

    with pytest.raises(UnexpectedAnswerError, match=r"^expected "):
        plan.read(plan.requests[0], HttpResponse(200, {}, body))


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"x":[[1]],"labels":[],"elbo":null}'])
def test_examples_of_another_shape_are_an_error(
    model: ModelResult, body: bytes
) -> None:
    """Another program's JSON, or rows of another length."""
    plan = plans.held_out_examples(model)

    with pytest.raises(UnexpectedAnswerError, match=r"^expected "):
        plan.read(plan.requests[0], HttpResponse(200, {}, body))


def test_a_checkpoint_without_examples_has_none(checkpoints: Path) -> None:
    """No rows, in the shape of data, no labels and no ELBO."""
    with Served(checkpoints / "bernoulli") as bernoulli:
        model = result_of(bernoulli, plans.served_model())
        found = result_of(bernoulli, plans.held_out_examples(model))

    assert found.x.shape == (0, 4, 4)
    assert [getattr(found, f.name) for f in fields(found)][1:] == [None, None]
