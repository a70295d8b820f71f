"""Draws of a table with missing cells, and the probabilities of these."""

import csv
import io
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import load

from tests.app.served import Served, assert_problem
from tests.model.tables.tables import MISSING, MIXED, mixed_codes, model
from tests.tiny import save_tiny

N = 60
TENSORS = {"accept": "application/vnd.safetensors"}
NAMES = ["amount", "size", "group", "flag"]
BODY = {"n": N, "seed": 5, "draw": "sample"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model of a table whose draws have missing cells."""
    path = tmp_path_factory.mktemp("missing") / "table"
    gappy = model(MIXED, mixed_codes(), missing=MISSING)
    with Served(save_tiny(path, gappy)) as served:
        yield served


def test_draws_have_gaps_in_every_format(table: Served) -> None:
    """They are null, empty or NaN."""
    found = load(table.post("/sample", BODY, headers=TENSORS).content)["x"]
    arrays = table.post("/sample", BODY).json()["x"]
    records = table.post("/sample", {**BODY, "orient": "records"}).json()["x"]
    split = table.post("/sample", {**BODY, "orient": "split"}).json()["x"]
    lines = table.post("/sample", BODY, headers={"accept": "text/csv"}).text
    by_query = table.get(f"/sample?n={N}&seed=5&draw=sample").json()["x"]

    is_missing = np.isnan(found)
    assert not is_missing[:, 0].any()  # amount is never missing
    assert is_missing[:, 1:].any(axis=0).all()
    assert not (is_missing[:, 2] & ~is_missing[:, 3]).any()  # as the patterns say
    np.testing.assert_array_equal(np.array(arrays, np.float64), found)
    assert by_query == arrays
    rows = list(csv.DictReader(io.StringIO(lines)))
    for row, record, line, gaps in zip(
        records, split["data"], rows, is_missing, strict=True
    ):
        assert [row[name] is None for name in NAMES] == gaps.tolist()
        assert list(row.values()) == record
        assert [line[name] == "" for name in NAMES] == gaps.tolist()


def test_complete_rows_have_the_same_values(table: Served) -> None:
    """Whatever is missing; and a part of the rows is a part of the same draws."""
    gappy = load(table.post("/sample", BODY, headers=TENSORS).content)

    whole = load(
        table.post("/sample", {**BODY, "complete": True}, headers=TENSORS).content
    )
    part = load(
        table.post("/sample", {**BODY, "n": 9, "first": 20}, headers=TENSORS).content
    )

    assert not np.isnan(whole["x"]).any()
    known = ~np.isnan(gappy["x"])
    np.testing.assert_array_equal(whole["x"][known], gappy["x"][known])
    np.testing.assert_array_equal(whole["z"], gappy["z"])
    np.testing.assert_array_equal(part["x"], gappy["x"][20:29])


def test_means_and_imputed_rows_are_complete(table: Served) -> None:
    """Only draws of x can lack cells."""
    means = load(
        table.post("/sample", {**BODY, "draw": "mean"}, headers=TENSORS).content
    )
    filled = table.post("/impute", {"x": [{"amount": 1}], "n_samples": 5, "seed": 1})

    assert np.isfinite(means["x"]).all()
    assert filled.status_code == 200, filled.text
    assert all(None not in row for row in filled.json()["samples"][0])


@pytest.mark.slow("draws many rows")
def test_decode_has_the_probabilities(table: Served, gaussian: Served) -> None:
    """By column; the shares of many draws for one z agree."""
    z = load(table.post("/sample", BODY, headers=TENSORS).content)["z"]
    body = {"z": z.tolist(), "parameters": True}

    arrays = table.post("/decode", body).json()
    records = table.post("/decode", {**body, "orient": "records"}).json()
    properties = table.get("/openapi.json").json()["components"]["schemas"]

    missing = np.array(arrays["missing"])
    assert missing.shape == (N, 4)
    assert (missing[:, 0] == 0).all()
    assert ((missing[:, 1:] > 0) & (missing[:, 1:] < 1)).all()
    assert (missing[:, 3] >= missing[:, 2]).all()
    assert list(records["missing"][3].values()) == arrays["missing"][3]
    drawn = load(table.post("/sample", {**BODY, "n": 2000}, headers=TENSORS).content)
    more = {"z": drawn["z"].tolist(), "parameters": True}
    wanted = load(table.post("/decode", more, headers=TENSORS).content)["missing"]
    off = np.isnan(drawn["x"]).mean(axis=0) - wanted.mean(axis=0)
    assert np.abs(off).max() < 5 * np.sqrt(0.25 / 2000)
    assert "missing" in properties["DecodeResponse"]["properties"]
    other = gaussian.get("/openapi.json").json()["components"]["schemas"]
    assert "missing" not in other["DecodeResponse"]["properties"]
    assert "complete" not in other["SampleRequest"]["properties"]


def test_complete_is_for_tables_alone(gaussian: Served) -> None:
    """Other models have no missing cells."""
    answer = gaussian.post("/sample", {"complete": True})

    [fault] = assert_problem(answer, 422)["errors"]
    assert fault["pointer"] == "/complete"
    assert "table of mixed kinds" in fault["detail"]


def test_the_protocol_of_inference_has_the_same_rows(table: Served) -> None:
    """With null for what is missing, and with the option."""
    parameters = {"n": 12, "seed": 5, "draw": "sample"}
    native = table.post("/sample", parameters).json()["x"]

    answer = table.post("/v2/models/vae-sample/infer", {"parameters": parameters})
    whole = table.post(
        "/v2/models/vae-sample/infer",
        {"parameters": {**parameters, "complete": True}},
    )

    x = next(one for one in answer.json()["outputs"] if one["name"] == "x")
    assert x["data"] == [cell for row in native for cell in row]
    assert None in x["data"]
    x = next(one for one in whole.json()["outputs"] if one["name"] == "x")
    assert None not in x["data"]
