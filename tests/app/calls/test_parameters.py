"""`/decode` of a table with `parameters`: the distribution of every cell, by name."""

import csv
import io
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import load

from tests.app.served import Served, assert_problem
from tests.model.tables.tables import MIXED, mixed_codes, model
from tests.tiny import save_tiny

NAMES = ["amount", "size", "group", "flag"]
LEVELS = ["group=a", "group=b", "group=c", "flag=false", "flag=true"]
Z = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
TENSORS = {"accept": "application/vnd.safetensors"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model of a table."""
    path = tmp_path_factory.mktemp("parameters") / "table"
    with Served(save_tiny(path, model(MIXED, mixed_codes()))) as served:
        yield served


def test_rows_have_distributions_beside_them(table: Served) -> None:
    """The same rows as without, with the figures of each cell, in every format."""
    body = {"z": Z.tolist(), "parameters": True}
    plain = table.post("/decode", {"z": Z.tolist()}).json()

    arrays = table.post("/decode", body).json()
    records = table.post("/decode", {**body, "orient": "records"}).json()
    split = table.post("/decode", {**body, "orient": "split"}).json()
    binary = load(table.post("/decode", body, headers=TENSORS).content)
    lines = table.post("/decode", body, headers={"accept": "text/csv"}).text

    assert plain.keys() == {"mean", "likelihood"}
    assert arrays["mean"] == plain["mean"]
    quantiles = np.array(arrays["quantiles"], np.float64)
    shares = np.array(arrays["probabilities"])
    assert quantiles.shape == (5, 5, 4)
    assert (np.diff(quantiles[..., :2], axis=1) >= 0).all()
    np.testing.assert_allclose(shares[:, :3].sum(axis=1), 1)
    np.testing.assert_allclose(shares[:, 3:].sum(axis=1), 1)
    for name in ("mean", "variance", "quantiles", "probabilities"):
        np.testing.assert_array_equal(binary[name], np.array(arrays[name], np.float64))
    first = records["probabilities"][0]
    assert list(first) == LEVELS == split["probabilities"]["columns"]
    assert list(first.values()) == arrays["probabilities"][0]
    assert list(records["variance"][0].values()) == arrays["variance"][0]
    row = records["quantiles"][0][2]
    assert row["group"] is row["flag"] is None
    assert [row["amount"], row["size"]] == arrays["quantiles"][0][2][:2]
    header, *cells = csv.reader(io.StringIO(lines))
    assert header[-5:] == [f"probabilities.{name}" for name in LEVELS]
    assert header[:4] == [f"mean.{name}" for name in NAMES]
    assert [float(cell) for cell in cells[4][-5:]] == arrays["probabilities"][4]
    assert {len(one) for one in cells} == {len(header)} == {4 * 7 + 5}


def test_a_row_does_not_depend_on_the_others(table: Served) -> None:
    """Bit for bit, as in every call."""
    together = table.post("/decode?parameters=true", {"z": Z.tolist()}, headers=TENSORS)
    alone = table.post(
        "/decode?parameters=true", {"z": [Z[3].tolist()]}, headers=TENSORS
    )

    one, all_ = load(alone.content), load(together.content)
    for name, values in one.items():
        np.testing.assert_array_equal(values[0], all_[name][3])


def test_what_cannot_have_them_is_refused(table: Served, gaussian: Served) -> None:
    """One array as a response, and models of numbers alone."""
    body = {"z": Z.tolist(), "parameters": True}
    npy = table.post("/decode", body, headers={"accept": "application/x-npy"})
    other = gaussian.post("/decode", {"z": [[0, 0, 0]], "parameters": True})

    for answer, part in ((npy, "several arrays"), (other, "only for a table")):
        [fault] = assert_problem(answer, 422)["errors"]
        assert fault["pointer"] == "/parameters"
        assert part in fault["detail"]


def test_the_protocol_of_inference_has_means_alone(table: Served) -> None:
    """Its outputs are those that it lists, so it refuses the option."""
    z = {"name": "z", "shape": [5, 2], "datatype": "FP32", "data": Z.tolist()}
    path = "/v2/models/vae-decode/infer"

    plain = table.post(path, {"inputs": [z]})
    refused = table.post(path, {"inputs": [z], "parameters": {"parameters": True}})

    assert [one["name"] for one in plain.json()["outputs"]] == ["mean"]
    assert refused.status_code == 422
    assert "/decode only" in refused.json()["error"]


def test_the_description_has_them_for_tables_alone(
    table: Served, gaussian: Served
) -> None:
    """Each with its names, and none is needed; the protocol has the means alone."""
    schemas = table.get("/openapi.json").json()["components"]["schemas"]
    others = gaussian.get("/openapi.json").json()["components"]["schemas"]
    outputs = table.get("/v2/models/vae-decode").json()["outputs"]

    response = schemas["DecodeResponse"]
    properties = response["properties"]
    assert "parameters" in schemas["DecodeRequest"]["properties"]
    assert response["required"] == ["mean", "likelihood"]
    records = properties["probabilities"]["oneOf"][2]["items"]
    assert list(records["properties"]) == LEVELS
    assert {"variance", "quantiles"} < properties.keys()
    assert (
        others["DecodeResponse"]["properties"]
        .keys()
        .isdisjoint(("variance", "quantiles", "probabilities"))
    )
    assert "parameters" not in others["DecodeRequest"]["properties"]
    assert [one["name"] for one in outputs] == ["mean"]
