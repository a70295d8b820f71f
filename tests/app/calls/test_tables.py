"""A table of mixed kinds: its cells are numbers, words, truth values and nothing."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load, save

from model import checkpoint
from model.checkpoint.held_out import Calibration, Scores, ScoreSettings
from model.tables.schema import LeftOut
from tests.app.open_inference.tensors import in_binary, outputs, same
from tests.app.open_inference.tensors import post as infer
from tests.app.served import Served, assert_problem
from tests.model.tables.tables import MIXED, mixed_codes, model
from tests.tiny import calibrated, save_tiny

NAMES = ("amount", "size", "group", "flag")
CELLS: list[list[Any]] = [
    [12, 0.5, "a", True],
    [0, 20.3, "c", False],
    [None, 9.9, "b", None],
    [3, None, None, True],
]
CODES = [
    [12, 0.5, 0, 1],
    [0, 20.3, 2, 0],
    [np.nan, 9.9, 1, np.nan],
    [3, np.nan, np.nan, 1],
]
CODES_WITH_NULLS = [[None if np.isnan(c) else c for c in row] for row in CODES]
SCORE_SETTINGS = ScoreSettings(
    split="validation", binarization="none", n_samples=4, noise_seed=0
)
CSV, TENSORS = "text/csv", "application/vnd.safetensors"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model of a table."""
    path = tmp_path_factory.mktemp("table") / "table"
    scores = calibrated(np.linspace(9, 14, 99), binarization="none")
    vae = model(MIXED, mixed_codes())
    schema = vae.config.table
    assert schema is not None
    left_out = (LeftOut(name="id", why="distinct texts"),)
    more = schema.model_copy(update={"left_out": left_out})
    vae.config = vae.config.model_copy(update={"table": more})
    with Served(save_tiny(path, vae, scores)) as served:
        yield served


@pytest.fixture(scope="module")
def calibrated_table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model of a table with all scores that training writes."""
    path = tmp_path_factory.mktemp("table") / "table"
    some = Scores(np.linspace(0, 5, 99), SCORE_SETTINGS)
    names = ("negative_elbo", "ratio", "farthest_cell")
    content = Calibration(dict.fromkeys(names, some)).to_bytes()
    vae = model(MIXED, mixed_codes())
    with Served(save_tiny(path, vae, {checkpoint.CALIBRATION: content})) as served:
        yield served


def records(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """Return rows as objects, in another order, without what is missing."""
    return [
        {k: v for k, v in zip(NAMES[::-1], row[::-1], strict=True) if v is not None}
        for row in rows
    ]


def split(rows: list[list[Any]]) -> dict[str, Any]:
    """Return rows under their names, in another order."""
    return {"columns": NAMES[::-1], "data": [row[::-1] for row in rows]}


def written(rows: list[list[Any]], names: Any = NAMES) -> bytes:
    """Return rows as CSV, as Python writes them."""
    file = io.StringIO(newline="")
    csv.writer(file).writerow(names)
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


def post(served: Served, url: str, body: bytes, kind: str = CSV) -> httpx.Response:
    """Send a body; the answer has arrays."""
    return served.post_raw(url, body, {"content-type": kind, "accept": TENSORS})


def tensors(response: httpx.Response) -> dict[str, list[Any]]:
    """Return the tensors of an answer."""
    assert response.status_code == 200, response.text
    return {name: values.tolist() for name, values in load(response.content).items()}


@pytest.mark.parametrize("path", ["/encode", "/elbo?seed=1", "/reconstruct"])
def test_rows_are_what_their_codes_are(table: Served, path: str) -> None:
    """In CSV, as records, split and as arrays of codes: one row, one answer."""
    wanted = tensors(post(table, path, save({"x": np.array(CODES)}), TENSORS))

    assert tensors(post(table, path, written(CELLS))) == wanted
    for x in (records(CELLS), split(CELLS)):
        found = table.post(path, {"x": x}, headers={"accept": TENSORS})
        assert tensors(found) == wanted
    arrays = [[None if np.isnan(c) else c for c in row] for row in CODES]
    found = table.post(path, {"x": arrays}, headers={"accept": TENSORS})
    assert tensors(found) == wanted


@pytest.mark.parametrize("call", ["encode", "elbo", "reconstruct"])
def test_the_open_inference_protocol_takes_codes(table: Served, call: str) -> None:
    """Flat or nested, with null or NaN; outputs have the datatypes that it says."""
    model, seed = f"vae-{call}", {} if call != "elbo" else {"seed": 1}
    query = "?seed=1" if seed else ""
    sent = post(table, f"/{call}{query}", save({"x": np.array(CODES)}), TENSORS)
    wanted = load(sent.content)
    nested = [[None if np.isnan(c) else c for c in row] for row in CODES]
    tensor = {"name": "x", "datatype": "FP64", "shape": [4, 4]}

    found = [
        infer(table, model, {"inputs": [{**tensor, "data": data}], "parameters": seed})
        for data in (nested, [cell for row in nested for cell in row])
    ]
    found.append(in_binary(table, model, "x", np.array(CODES), **seed))

    assert all(same(outputs(response), wanted) for response in found)
    said = table.get(f"/v2/models/{model}").json()["outputs"]
    types = {name: f"FP{8 * values.itemsize}" for name, values in wanted.items()}
    assert types.items() <= {one["name"]: one["datatype"] for one in said}.items()


@pytest.mark.parametrize("wrong", ["a", True, [1], {}])
def test_a_flat_array_has_numbers_and_null_only(table: Served, wrong: Any) -> None:
    """In the Open Inference Protocol, as elsewhere."""
    data = [12, None, 0, wrong]
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 4], "data": data}

    response = infer(table, "vae-encode", {"inputs": [tensor]})

    assert response.status_code == 422
    assert "expected" in response.json()["error"]


@pytest.mark.parametrize(
    ("cells", "column", "detail"),
    [
        ([1, 2.5, "d", True], "group", "unknown category 'd'"),
        ([1, 2.5, 1, True], "group", "unknown category 1"),
        ([1, 2.5, "a", "maybe"], "flag", "unknown category 'maybe'"),
        (["many", 2.5, "a", True], "amount", "expected a finite number"),
        ([[1], 2.5, "a", True], "amount", "expected a number, a string"),
    ],
)
def test_a_cell_that_its_column_cannot_have_is_refused(
    table: Served, cells: list[Any], column: str, detail: str
) -> None:
    """By its place and the name of its column."""
    rows = [*CELLS, cells]

    for x, pointer in (
        (records(rows), f"/x/4/{column}"),
        (split(rows), f"/x/data/4/{NAMES[::-1].index(column)}"),
    ):
        [fault] = assert_problem(table.post("/encode", {"x": x}), 422)["errors"]
        assert fault["pointer"] == pointer
        assert detail in fault["detail"]
    [fault] = assert_problem(post(table, "/encode", written(rows)), 422)["errors"]
    assert fault["pointer"] == f"/x/4/{column}"
    assert fault["detail"].startswith(f"line 6, {column}: ")


@pytest.mark.parametrize("code", [-1, 4, 0.5])
def test_a_code_that_is_no_category_is_refused(table: Served, code: float) -> None:
    """Before it computes anything; the last code is that of an unseen category."""
    codes = np.array(CODES)
    codes[1, 2] = code

    refused = post(table, "/encode", save({"x": codes}), TENSORS)

    [fault] = assert_problem(refused, 422)["errors"]
    assert fault["pointer"] == "/x/1/2"
    assert "group: expected a category from 0 to 3" in fault["detail"]


@pytest.mark.parametrize("form", ["csv", "records", "split"])
def test_a_column_that_is_absent_is_missing_with_a_warning(
    table: Served, form: str
) -> None:
    """The header names it."""
    holes = [[row[0], None, row[2], row[3]] for row in CELLS]
    wanted = table.post("/encode", {"x": split(holes)}).json()
    shorter = [[row[0], row[2], row[3]] for row in CELLS]
    names = ("amount", "group", "flag")

    if form == "csv":
        body = written(shorter, names)
        found = table.post_raw("/encode", body, {"content-type": CSV})
    elif form == "split":
        found = table.post("/encode", {"x": {"columns": names, "data": shorter}})
    else:
        rows = [dict(zip(names, row, strict=True)) for row in shorter]
        found = table.post("/encode", {"x": rows})

    assert found.json() == wanted
    assert found.headers["vae-warning"] == "no column size: taken as missing"
    assert "vae-warning" not in table.post("/encode", {"x": split(CELLS)}).headers


@pytest.mark.parametrize("draw", ["mean", "sample"])
def test_answers_by_name_have_cells(table: Served, draw: str) -> None:
    """
    Words and truth values; the same rows as the codes of arrays.

    Numbers are rounded to the resolution of their column, which only means need.
    """
    url = f"/sample?n=200&seed=1&draw={draw}"
    codes = table.get(url).json()["x"]

    by_record = table.get(f"{url}&orient=records").json()["x"]
    by_split = table.get(f"{url}&orient=split").json()["x"]
    lines = table.get(url, headers={"accept": CSV})

    cells = [list(record.values()) for record in by_record]
    assert by_split == {"columns": list(NAMES), "data": cells}
    assert {row[2] for row in cells} <= {"a", "b", "c"}
    assert {type(row[3]) for row in cells} == {bool}
    numbers = np.array([row[:2] for row in cells])
    assert np.abs(numbers - np.array(codes)[:, :2]).max() <= 0.5 + 1e-9
    assert np.array_equal(numbers[:, 0], np.round(numbers[:, 0]))
    assert ["abc".index(row[2]) for row in cells] == [row[2] for row in codes]
    header, *rows = csv.reader(io.StringIO(lines.text))
    assert header == list(NAMES)
    assert [row[2] for row in rows] == [row[2] for row in cells]
    assert [row[3] for row in rows] == [str(row[3]).lower() for row in cells]
    assert [[float(cell) for cell in row[:2]] for row in rows] == [
        row[:2] for row in cells
    ]
    sent = post(table, "/encode", lines.content)
    same = post(table, "/encode", save({"x": np.array(codes)}), TENSORS)
    assert tensors(sent) == tensors(same)  # the service rounds too


@pytest.mark.slow("imputes rows")
def test_what_is_missing_is_imputed(table: Served) -> None:
    """Without a mask; known cells stay, categories are words."""
    body = {"x": records(CELLS), "seed": 1, "n_samples": 2, "orient": "records"}

    answer = table.post("/impute", body).json()

    for found, row in zip(answer["mean"], CELLS, strict=True):
        for cell, known in zip(found.values(), row, strict=True):
            assert cell is not None
            assert known is None or cell == known
    assert answer["mean"][3]["group"] in {"a", "b", "c"}
    assert len(answer["samples"][0]) == 2
    by_line = table.post_raw(
        "/impute?seed=1&n_samples=2",
        written(CELLS),
        {"content-type": CSV, "accept": CSV},
    )
    header, *rows = csv.reader(io.StringIO(by_line.text))
    place = header.index("mean.group")
    assert [row[place] for row in rows] == [row["group"] for row in answer["mean"]]


def test_a_mask_by_name_has_numbers(table: Served) -> None:
    """It says which cells are known, whatever they are; a word is none."""
    mask = [[1, 0, 0, 1] for _ in CELLS]
    body = {"x": records(CELLS), "seed": 1}
    split = {"columns": list(NAMES), "data": mask}

    wanted = table.post("/impute", {**body, "mask": mask})
    found = [table.post("/impute", {**body, "mask": m}) for m in (records(mask), split)]
    words = [{**one, "group": "a"} for one in records(mask)]
    refused = table.post("/impute", {**body, "mask": words})

    assert wanted.status_code == 200, wanted.text
    assert [one.json() for one in found] == [wanted.json()] * 2
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/mask/0/group"


def test_a_long_table_is_read_in_pieces(table: Served) -> None:
    """Words and gaps, in a thread."""
    codes = mixed_codes(8_000)
    words: list[list[Any]] = [
        [
            None if np.isnan(row[0]) else row[0],
            None if np.isnan(row[1]) else row[1],
            None if np.isnan(row[2]) else "abc"[int(row[2])],
            None if np.isnan(row[3]) else bool(row[3]),
        ]
        for row in codes
    ]
    wanted = tensors(post(table, "/encode", save({"x": codes}), TENSORS))

    assert tensors(post(table, "/encode", written(words))) == wanted


def test_the_description_has_the_columns(table: Served) -> None:
    """`/model` has the schema; the API's description, what a cell and a code may be."""
    columns = table.get("/model").json()["table"]["columns"]
    document = table.get("/openapi.json").json()

    assert [column["name"] for column in columns] == list(NAMES)
    assert columns[2]["categories"] == ["a", "b", "c"]
    schemas = document["components"]["schemas"]
    x = schemas["EncodeRequest"]["properties"]["x"]["oneOf"]
    assert x[0]["items"]["items"]["type"] == ["number", "null"]
    mask = schemas["ImputeRequest"]["properties"]["mask"]["oneOf"]
    assert mask[0]["items"]["items"]["type"] == "number"
    flag = mask[2]["items"]["properties"]["group"]
    assert flag == mask[0]["items"]["items"]
    assert x[2]["items"]["properties"]["group"] == {"enum": ["a", "b", "c", None]}
    assert x[2]["items"]["properties"]["size"] == {"type": ["number", "null"]}
    assert "required" not in x[2]["items"]


@pytest.mark.slow("sends every example")
def test_every_example_runs(table: Served) -> None:
    """Of arrays and by name, with the same answer."""
    document = table.get("/openapi.json").json()

    n_examples = 0
    for path, item in document["paths"].items():
        body = item.get("post", {}).get("requestBody", {}).get("content", {})
        examples = body.get("application/json", {}).get("examples", {})
        answers = [table.post(path, one["value"]) for one in examples.values()]
        assert [answer.status_code for answer in answers] == [200] * len(answers), path
        n_examples += len(answers)
        if len(answers) == 2:
            arrays, named = ({**answer.json(), "seed": 0} for answer in answers)
            assert arrays == named, path

    assert n_examples > 14


@pytest.mark.slow("runs every analysis")
@pytest.mark.parametrize(
    "path", ["/loglik", "/gap", "/refine", "/anomaly", "/posterior"]
)
def test_analyses_take_partial_rows(table: Served, path: str) -> None:
    """Cells in CSV and codes in arrays have one answer."""
    codes = save({"x": np.array(CODES)})

    found = tensors(post(table, f"{path}?seed=1", written(CELLS)))

    wanted = tensors(post(table, f"{path}?seed=1", codes, TENSORS))
    np.testing.assert_equal(found, wanted)  # NaN is NaN
    assert all(len(values) == len(CELLS) for values in found.values())


def test_what_is_a_number_for_each_column_is_no_cell(table: Served) -> None:
    """The surprise of a category is a number, by its column's name."""
    body = {"x": records(CELLS), "seed": 1}
    arrays = table.post("/anomaly", body).json()["surprise_per_dim"]

    by_name = table.post("/anomaly?orient=records", body).json()["surprise_per_dim"]

    assert [list(record.values()) for record in by_name] == arrays
    assert list(by_name[0]) == list(NAMES)


@pytest.mark.slow("imputes rows")
def test_missing_cells_have_intervals_and_probabilities(table: Served) -> None:
    """By name; a known cell is its own interval, and a category has none."""
    body = {"x": records(CELLS), "seed": 1, "level": 0.5, "n_draws": 128}

    found = table.post("/impute?orient=records", body).json()

    low, high = found["interval_low"], found["interval_high"]
    assert (low[0]["amount"], high[0]["amount"]) == (12, 12)
    assert low[2]["amount"] <= found["mean"][2]["amount"] * 2
    assert low[3]["size"] < high[3]["size"]
    assert low[3]["group"] is None
    assert found["interval_probability"][3]["size"] >= 0.5
    assert found["interval_probability"][0]["amount"] is None
    assert 0 < found["interval_probability_standard_error"][3]["size"] < 0.1
    shares, errors = found["probabilities"], found["probabilities_standard_error"]
    assert list(shares[0]) == [
        *("group=a", "group=b", "group=c"),
        *("flag=false", "flag=true"),
    ]
    assert list(shares[0].values()) == [1, 0, 0, 0, 1]
    assert sum(list(shares[3].values())[:3]) == pytest.approx(1)
    assert errors[3]["group=a"] > 0
    wide = table.post("/impute?orient=records", {**body, "level": 0.9}).json()
    assert wide["interval_high"][3]["size"] > high[3]["size"]


def test_an_old_checkpoint_says_why_it_has_no_further_p_values(table: Served) -> None:
    """The ratio and the tails of cells need no held-out scores of theirs."""
    found = table.post("/anomaly", {"x": CODES_WITH_NULLS, "seed": 1}).json()

    names = ("ratio_p_value", "tail_p_value", "p_value_either")
    assert [found[name] for name in names] == [None] * 3
    assert "train it again" in found["why_null"]
    assert len(found["ratio"]) == len(CODES)
    tails = found["tail_p_value_per_column"]
    is_null = [[p is None for p in row] for row in tails]
    assert is_null == [[code is None for code in row] for row in CODES_WITH_NULLS]


def test_rows_of_a_table_have_two_more_p_values(calibrated_table: Served) -> None:
    """They say which cells do not go together, and which are out of range."""
    cells = [12, 1000.0, "a", True]

    found = calibrated_table.post(
        "/anomaly?orient=records", {"x": records([*CELLS, cells]), "seed": 1}
    ).json()

    assert found["why_null"] is None
    assert found["tail_p_value"][-1] == 1 / 100
    assert found["p_value_either"][-1] == 2 / 100
    assert all(0 < p <= 1 for p in found["ratio_p_value"])
    last = found["tail_p_value_per_column"][-1]
    assert min(last, key=last.get) == "size"
    assert found["tail_p_value_per_column"][2]["amount"] is None
    assert sorted(found["blame_order"][-1]) == [0, 1, 2, 3]
    assert found["blame_order"][2][-2:] == [0, 3]  # missing cells, in their order
    assert found["blame"][2]["amount"] is None
    assert found["blame_standard_error"][-1]["size"] > 0


def test_the_protocol_of_inference_takes_codes(table: Served) -> None:
    """As the native call does."""
    codes = [[12, 0.5, 0, 1], [0, 20.3, 2, 0]]
    x = {"name": "x", "shape": [2, 4], "datatype": "FP64", "data": codes}

    answer = table.post("/v2/models/vae-encode/infer", {"inputs": [x]})

    assert answer.status_code == 200, answer.text
    wanted = table.post("/encode", {"x": codes}).json()
    found = {one["name"]: one["data"] for one in answer.json()["outputs"]}
    assert np.ravel(found["mu"]).tolist() == np.ravel(wanted["mu"]).tolist()


def test_the_explorer_gets_examples(table: Served) -> None:
    """Of a checkpoint without any: none."""
    assert table.get("/examples").json()["x"] == []


def test_codes_are_wide(table: Served) -> None:
    """Amounts above 2^24 and decimals stay what they are."""
    assert table.get("/model").json()["data_dtype"] == "float64"
    answer = table.get("/sample?n=2", headers={"accept": TENSORS})
    assert load(answer.content)["x"].dtype == np.float64


@pytest.mark.parametrize("word", ["p", ""])
def test_columns_that_training_left_out_may_come(table: Served, word: str) -> None:
    """The file of the training goes in as it is; others are refused."""
    wanted = table.post("/encode", {"x": records(CELLS)}).json()
    rows = [[f"{word}{i}", *row] for i, row in enumerate(CELLS)]
    names = ("id", *NAMES)

    lines = table.post_raw("/encode", written(rows, names), {"content-type": CSV})
    by_split = table.post("/encode", {"x": {"columns": names, "data": rows}})
    x = [{**row, "id": i} for i, row in enumerate(records(CELLS))]
    by_record = table.post("/encode", {"x": x})

    assert lines.json() == by_split.json() == by_record.json() == wanted
    names = ("key", *NAMES)
    other = table.post_raw("/encode", written(rows, names), {"content-type": CSV})
    assert "got 1 other: key" in assert_problem(other, 422)["detail"]


def test_a_long_table_of_some_columns_is_read(table: Served) -> None:
    """With a column that training left out, and without others."""
    rows = [[i, 0.123456789, i % 7] for i in range(8_000)]
    x = {"columns": ["id", "size", "amount"], "data": rows}
    codes = np.full((8_000, 4), np.nan)
    codes[:, 1], codes[:, 0] = 0.123456789, [row[2] for row in rows]

    found = table.post("/encode", {"x": x}, headers={"accept": TENSORS})

    assert tensors(found) == tensors(
        post(table, "/encode", save({"x": codes}), TENSORS)
    )
    assert "group, flag" in found.headers["vae-warning"]


@pytest.mark.parametrize(
    "path",
    [
        "/encode",
        "/elbo?seed=1",
        pytest.param(
            "/loglik?seed=1&n_samples=16", marks=pytest.mark.slow("analyzes rows")
        ),
    ],
)
def test_an_unknown_category_may_be_taken_as_unseen(table: Served, path: str) -> None:
    """By an option, in the query or in the body; its code is one more."""
    rows = [*CELLS, [1, 2.5, "d", True], [1, 2.5, "e", True]]
    wanted = post(
        table,
        path,
        save({"x": np.array([*CODES, [1, 2.5, 3, 1], [1, 2.5, 3, 1]])}),
        TENSORS,
    )
    url = f"{path}{'&' if '?' in path else '?'}unknown=unseen"

    assert tensors(post(table, url, written(rows))) == tensors(wanted)
    for x in (records(rows), split(rows)):
        found = table.post(url, {"x": x}, headers={"accept": TENSORS})
        assert tensors(found) == tensors(wanted)
        found = table.post(
            path, {"x": x, "unknown": "unseen"}, headers={"accept": TENSORS}
        )
        assert tensors(found) == tensors(wanted)


def test_a_truth_value_has_no_unseen_category(table: Served) -> None:
    """Nor has a number."""
    for cells in ([1, 2.5, "a", "maybe"], ["many", 2.5, "a", True]):
        x = records([*CELLS, cells])
        refused = table.post("/encode", {"x": x, "unknown": "unseen"})

        assert_problem(refused, 422)


def test_other_models_have_no_unknown_categories(gaussian: Served) -> None:
    """Nor does their description have the option."""
    x = [[0, 0, 0, 0, 0]]
    assert gaussian.post("/encode", {"x": x, "unknown": "refuse"}).status_code == 200
    [fault] = assert_problem(
        gaussian.post("/encode", {"x": x, "unknown": "unseen"}), 422
    )["errors"]
    assert fault["pointer"] == "/unknown"
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 5], "data": x[0]}
    asked = {"inputs": [tensor], "parameters": {"unknown": "unseen"}}
    assert fault["detail"] in infer(gaussian, "vae-encode", asked).json()["error"]
    assert "unseen" not in gaussian.get("/openapi.json").text


@pytest.mark.parametrize("orient", ["split", "records"])
def test_a_long_table_of_words_is_read_as_a_short_one(
    table: Served, orient: str
) -> None:
    """In pieces; the rows are those of the cells."""
    cells = CELLS * 2_000
    x = {"columns": NAMES, "data": cells} if orient == "split" else records(cells)

    found = table.post("/encode", {"x": x}, headers={"accept": TENSORS})

    wanted = post(table, "/encode", save({"x": np.array(CODES * 2_000)}), TENSORS)
    assert tensors(found) == tensors(wanted)


def test_long_arrays_of_codes_have_null_for_what_is_missing(table: Served) -> None:
    """As short ones have."""
    codes = np.array(CODES * 2_000)
    arrays = [[None if np.isnan(c) else c for c in row] for row in codes.tolist()]

    found = table.post("/encode", {"x": arrays}, headers={"accept": TENSORS})

    wanted = post(table, "/encode", save({"x": codes}), TENSORS)
    assert tensors(found) == tensors(wanted)
