"""CSV as the body of requests and of responses, for models whose columns have names."""

import csv
import io
from typing import Any

import httpx
import numpy as np
import pytest

from tests.app.named_columns import CALLS, COLUMNS, EACH_CALL, ROWS
from tests.app.served import Served, assert_problem

CSV = "text/csv"


def written(rows: Any, names: Any = COLUMNS) -> bytes:
    """Return rows as CSV."""
    file = io.StringIO(newline="")
    csv.writer(file).writerow(names)
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


def post(served: Served, url: str, body: bytes, accept: str = "*/*") -> httpx.Response:
    """Send CSV."""
    return served.post_raw(url, body, {"content-type": CSV, "accept": accept})


def read(response: httpx.Response) -> tuple[list[str], list[list[str]]]:
    """Return the names and the rows of a response in CSV."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(response.text, newline=""))
    return header, rows


@pytest.mark.parametrize("name", EACH_CALL)
def test_every_call_that_takes_x_takes_csv(named: Served, name: str) -> None:
    """The answer is bit for bit that to rows as arrays; options are in the query."""
    reversed_rows = [row[::-1] for row in ROWS]
    url = f"/{name}" if name in {"encode", "reconstruct"} else f"/{name}?seed=3"

    by_name = post(named, url, written(reversed_rows, COLUMNS[::-1]))

    assert by_name.status_code == 200, by_name.text
    assert by_name.json() == named.post(url, {"x": ROWS}).json()


def test_an_empty_cell_is_imputed(named: Served) -> None:
    """The mask is not sent: a cell that is empty is missing."""
    mask = [[1, 1, 0, 1, 1], [0, 1, 1, 1, 0]]
    holes = [
        [value if known else "" for value, known in zip(*pair, strict=True)]
        for pair in zip(ROWS, mask, strict=True)
    ]

    by_name = post(named, "/impute?seed=3", written(holes))

    as_arrays = named.post("/impute", {"x": ROWS, "mask": mask, "seed": 3})
    assert by_name.status_code == 200, by_name.text
    assert by_name.json() == as_arrays.json()


def test_a_cell_that_is_not_imputed_must_be_there(named: Served) -> None:
    """Other calls refuse it by its line and column."""
    response = post(named, "/encode", written([[1, 2, 3, 4, 5], [1, "", 3, 4, 5]]))

    [fault] = assert_problem(response, 422)["errors"]
    assert fault["pointer"] == "/x/1/mass"
    assert fault["detail"] == "line 3, mass: expected a number, got an empty cell"


@pytest.mark.parametrize("name", [*EACH_CALL[:6], "anomaly", "impute"])
def test_answers_are_a_line_for_each_row(named: Served, name: str) -> None:
    """With the numbers of JSON, under the names of its members."""
    holes = [[1.5, "", 0.25, 3.0, 0.0], [0.5, 4.0, "", 2.0, 1.0]]
    body = written(holes if name == "impute" else ROWS)
    url = f"/{name}" if name in {"encode", "reconstruct"} else f"/{name}?seed=3"
    wanted = post(named, url, body).json()

    response = post(named, url, body, CSV)

    header, rows = read(response)
    assert len(rows) == len(ROWS)
    if name == "reconstruct":
        assert header == list(COLUMNS)
        assert np.array_equal(np.array(rows, float), wanted["x"])
        return
    assert response.headers.get("vae-seed") == (None if name == "encode" else "3")
    of_row = [key for key, value in wanted.items() if isinstance(value, list)]
    of_row = [key for key in of_row if key != "columns"]
    for key in of_row:
        places = [i for i, one in enumerate(header) if one.split(".")[0] == key]
        for row, value in zip(rows, wanted[key], strict=True):
            cells = [row[i] for i in places]
            values = np.array(value, object).reshape(-1).tolist()
            assert [*map(text_of, values)] == cells, key
    assert {name.split(".")[0] for name in header} == set(of_row)


def text_of(value: Any) -> str:
    """Return a value of JSON as a cell."""
    if value is None:
        return ""
    return (
        str(value).lower()
        if isinstance(value, bool)
        else httpx.Response(200, json=value).text
    )


def test_names_say_which_column_a_number_is_of(named: Served) -> None:
    """Of the parameters, of the surprise, and of draws."""
    decoded = named.post("/decode", {"z": [[0, 0]]}, headers={"accept": CSV})
    surprise = post(named, "/anomaly", written(ROWS), CSV)

    assert read(decoded)[0] == [
        f"{part}.{name}" for part in ("mean", "log_var") for name in COLUMNS
    ]
    assert f"surprise_per_dim.{COLUMNS[4]}" in read(surprise)[0]


def test_samples_go_into_the_next_call(named: Served) -> None:
    """`/sample` writes rows of data alone, with every bit."""
    accept = {"accept": CSV}
    samples = named.get("/sample?n=3&seed=7&draw=sample", headers=accept)

    names, rows = read(samples)
    assert names == list(COLUMNS)
    assert samples.headers["vae-seed"] == "7"
    x = named.get("/sample?n=3&seed=7&draw=sample").json()["x"]
    assert np.array_equal(np.array(rows, float), x)
    codes = post(named, "/encode", samples.content)
    assert codes.json() == named.post("/encode", {"x": x}).json()


def test_draws_of_a_reconstruction_are_rows(named: Served) -> None:
    """K lines for each row, in order."""
    url = "/reconstruct?n_samples=3&seed=1"
    wanted = np.array(post(named, url, written(ROWS)).json()["x"])

    _, rows = read(post(named, url, written(ROWS), CSV))

    assert np.array_equal(np.array(rows, float), wanted.reshape(6, 5))


def test_many_rows_are_read_and_written_in_pieces(named: Served) -> None:
    """In a thread, and one piece after the other."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4_000, 5)).astype(np.float32).tolist()

    header, found = read(post(named, "/encode", written(rows), CSV))

    assert header == ["mu.0", "mu.1", "log_var.0", "log_var.1"]
    wanted = named.post("/encode", {"x": rows}).json()
    assert np.array_equal(np.array(found, float)[:, :2], np.array(wanted["mu"]))


def test_a_model_without_names_takes_no_csv(gaussian: Served) -> None:
    """And says where CSV is read; nor does it answer in CSV."""
    response = post(gaussian, "/encode", b"a,b,c,d,e\n1,2,3,4,5\n")
    detail = assert_problem(response, 415)["detail"]
    assert "of a model whose columns have names" in detail

    asked = gaussian.get("/sample", headers={"accept": CSV})
    assert CSV not in assert_problem(asked, 406)["detail"]


def test_the_description_lists_csv_where_it_is_taken(named: Served) -> None:
    """In /model and in the API's description, with what a line is."""
    types = named.get("/model").json()["media_types"]
    described = named.get("/openapi.json").json()["paths"]

    for name in (*CALLS, "impute"):
        assert CSV in types[name]["request"]
        body = described[f"/{name}"]["post"]["requestBody"]["content"][CSV]
        assert "under a line with the names" in body["schema"]["description"]
    for name in ("sample", "decode", "encode", "elbo", "impute"):
        assert CSV in types[name]["response"]
    assert CSV not in types["decode"]["request"]
    assert CSV not in types["posterior"]["response"]
