"""Inference: the bits of the native calls, in JSON and in binary."""

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from tests.app.open_inference.tensors import (
    LENGTH,
    assert_error,
    in_binary,
    in_json,
    outputs,
    parameters,
    post,
    same,
    tensor,
)
from tests.app.served import Served

SAFETENSORS = "application/vnd.safetensors"
N = 5
CALLS: dict[str, dict[str, Any]] = {
    "encode": {},
    "decode": {},
    "elbo": {"n_samples": 3, "seed": 7},
    "reconstruct": {},
    "reconstruct with draws": {"n_samples": 2, "seed": 9},
}
KINDS = ["bernoulli", "gaussian", "conv"]


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest) -> Served:
    """Serve each kind of model in turn."""
    found: Served = request.getfixturevalue(request.param)
    return found


def array_of(served: Served, call: str) -> tuple[str, NDArray[np.float32]]:
    """Return the name of a call's array, and rows of 0 and 1."""
    config = served.checkpoint.config
    name, shape = ("x", config.data_shape)
    if call == "decode":
        name, shape = ("z", (config.latent_dim,))
    draws = np.random.default_rng(2).random((N, *shape))
    return name, draws.round().astype(np.float32)


def native(
    served: Served, call: str, array: dict[str, NDArray[Any]], **options: Any
) -> dict[str, NDArray[Any]]:
    """Return the tensors of the native call."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    headers = {"content-type": SAFETENSORS, "accept": SAFETENSORS}
    response = served.post_raw(f"/{call}?{query}", save(array), headers)
    assert response.status_code == 200, response.text
    found: dict[str, NDArray[Any]] = load(response.content)
    return found


@pytest.mark.parametrize("call", CALLS)
def test_answers_have_the_bits_of_the_native_call(served: Served, call: str) -> None:
    """In binary and in JSON, shaped and flat."""
    path, options = call.partition(" ")[0], CALLS[call]
    name, values = array_of(served, path)
    wanted = native(served, path, {name: values}, **options)
    model = f"vae-{path}"

    answers = [
        ask(served, model, name, array, **options)
        for ask in (in_binary, in_json)
        for array in (values, values.reshape(N, -1))
    ]

    assert all(same(outputs(answer), wanted) for answer in answers)
    assert all(LENGTH in answer.headers for answer in answers[:2])
    assert all(LENGTH not in answer.headers for answer in answers[2:])


@pytest.mark.parametrize("how", ["parameter", "number", "binary number", "nothing"])
def test_samples_have_the_bits_of_the_native_call(served: Served, how: str) -> None:
    """`n` is a parameter, or an input for clients that must send one."""
    n = 1 if how == "nothing" else 3
    options = {"seed": 5, "temperature": 0.5, "draw": "sample"}
    headers = {"accept": SAFETENSORS}
    wanted = load(served.post("/sample", {"n": n, **options}, headers=headers).content)
    one = np.array([n], np.int64)
    inputs = {
        "parameter": [],
        "number": [tensor("n", one, data=[n])],
        "binary number": [tensor("n", one, parameters={"binary_data_size": 8})],
        "nothing": [],
    }[how]
    given = {**options, "n": n} if how == "parameter" else options

    response = post(
        served,
        "vae-sample",
        {"inputs": inputs, "parameters": given},
        one.tobytes() if how == "binary number" else None,
    )

    assert same(outputs(response), wanted)
    assert parameters(response) == {"seed": 5}


@pytest.mark.parametrize("dtype", ["f2", "f8", "?", "u1"])
def test_binary_inputs_of_other_datatypes_mean_what_they_do_in_safetensors(
    bernoulli: Served, dtype: str
) -> None:
    """Integers are scaled as in training, numbers in JSON never."""
    numbers = np.arange(32).reshape(2, 16)
    values = (numbers * 8 if dtype == "u1" else numbers % 2).astype(dtype)
    wanted = native(bernoulli, "encode", {"x": values})

    response = in_binary(bernoulli, "vae-encode", "x", values)

    assert same(outputs(response), wanted)


def test_a_seed_that_is_drawn_is_told(bernoulli: Served) -> None:
    """With it the same answer can be had again."""
    first = post(bernoulli, "vae-sample", {"parameters": {"n": 2}})
    seed = parameters(first)["seed"]

    again = post(bernoulli, "vae-sample", {"parameters": {"n": 2, "seed": seed}})

    assert again.content == first.content


def test_scalars_of_the_native_response_are_parameters(bernoulli: Served) -> None:
    """Those that are null are left out."""
    x = np.full((1, 16), 0.25, np.float32)
    asked = {"seed": 1, "n_samples": 2, "binarize": "threshold"}

    elbo = in_binary(bernoulli, "vae-elbo", "x", x, **asked)
    decoded = in_json(bernoulli, "vae-decode", "z", np.zeros((1, 3), np.float32))

    assert parameters(elbo) == {**asked, "units": "nats"}
    assert parameters(decoded) == {"likelihood": "bernoulli"}


def test_options_may_be_in_the_query(bernoulli: Served) -> None:
    """As in native calls; clients of the protocol send query parameters too."""
    url = "/v2/models/vae-sample/infer"

    response = bernoulli.post(f"{url}?n=2&seed=3", {"inputs": []})

    wanted = bernoulli.post(url, {"inputs": [], "parameters": {"n": 2, "seed": 3}})
    assert response.content == wanted.content


def test_outputs_are_chosen_one_by_one(bernoulli: Served) -> None:
    """In the order asked for, each in JSON or in binary; the default is JSON."""
    x = np.zeros((2, 16), np.float32)
    wanted = native(bernoulli, "encode", {"x": x})
    document = {
        "id": "mine",
        "inputs": [tensor("x", x, data=x.reshape(-1).tolist())],
        "outputs": [
            {"name": "log_var"},
            {"name": "mu", "parameters": {"binary_data": True}},
        ],
    }

    both = post(bernoulli, "vae-encode", document)
    document["outputs"] = [{"name": "mu"}]
    one = post(bernoulli, "vae-encode", document)

    head = json.loads(both.content[: int(both.headers[LENGTH])])
    assert head["id"] == "mine"
    assert head["model_name"] == "vae-encode"
    assert head["model_version"] == bernoulli.checkpoint.version
    assert list(outputs(both)) == ["log_var", "mu"]
    assert same(outputs(both), wanted)
    assert same(outputs(one), {"mu": wanted["mu"]})


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
@pytest.mark.parametrize("gap", ["", " \n\t"], ids=["dense", "spaced"])
def test_data_may_be_flat_or_nested(bernoulli: Served, nested: bool, gap: str) -> None:
    """With any white space, and the members in any order."""
    x = np.random.default_rng(3).random((2, 4, 4)).astype(np.float32)
    wanted = native(bernoulli, "encode", {"x": x})
    data = json.dumps((x if nested else x.reshape(-1)).tolist()).replace(",", f",{gap}")
    text = (
        f'{{"outputs":[{{"name":"mu"}},{{"name":"log_var"}}],"inputs":{gap}[{{"data"'
        f'{gap}:{gap}{data},"datatype":"FP32","shape":[2,4,4],"name":"x"}}]{gap}}}'
    )

    response = post(bernoulli, "vae-encode", text.encode())

    assert same(outputs(response), wanted)


@pytest.mark.slow("reads long arrays")
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_long_arrays_have_the_same_bits(gaussian: Served, nested: bool) -> None:
    """Read and written piece by piece, and in binary from another thread."""
    x = np.random.default_rng(4).normal(size=(16_000, 5)).astype(np.float32)
    wanted = native(gaussian, "encode", {"x": x})
    data = (x if nested else x.reshape(-1)).astype(float).tolist()
    document = {"inputs": [tensor("x", x, data=data)]}

    in_text = post(gaussian, "vae-encode", document)
    binary = in_binary(gaussian, "vae-encode", "x", x)
    document["outputs"] = [
        {"name": "mu", "parameters": {"binary_data": True}},
        {"name": "log_var"},
    ]
    mixed = post(gaussian, "vae-encode", document)

    for response in (in_text, binary, mixed):
        assert same(outputs(response), wanted)


@pytest.mark.parametrize("binary", [False, True], ids=["JSON", "binary"])
def test_gzip_is_read(bernoulli: Served, binary: bool) -> None:
    """The length of the document counts bytes after decompression."""
    x = np.ones((2, 16), np.float32)
    size = {"parameters": {"binary_data_size": x.nbytes}}
    member = size if binary else {"data": x.reshape(-1).tolist()}
    text = json.dumps({"inputs": [tensor("x", x, **member)]}).encode()
    body = text + (x.tobytes() if binary else b"")
    headers = {"content-encoding": "gzip", LENGTH: str(len(text))}
    url = "/v2/models/vae-encode/infer"

    zipped = bernoulli.post_raw(url, gzip.compress(body), headers)
    deflated = bernoulli.post_raw(
        url, zlib.compress(body), {**headers, "content-encoding": "deflate"}
    )

    assert same(outputs(zipped), native(bernoulli, "encode", {"x": x}))
    assert_error(deflated, 415, "gzip, identity or none, got deflate")
    assert deflated.headers["accept-encoding"] == "gzip, identity"


X = np.zeros((1, 16), np.float32)
ROW = X.reshape(-1).tolist()
FOUR = {"binary_data_size": 4}
GOOD = tensor("x", X, data=ROW)
BAD: dict[str, tuple[str, Any, bytes | None, str]] = {
    # the model, the document, what follows it, and words of the error
    "no JSON": ("encode", b'{"inputs": ', None, "expected JSON"),
    "no object": ("encode", [], None, "expected an object"),
    "member": ("encode", {"input": []}, None, "/input: unknown name"),
    "no input": ("encode", {}, None, "expected one input, x, got 0 inputs"),
    "two inputs": ("encode", {"inputs": [GOOD, GOOD]}, None, "got 2 inputs"),
    "another": ("encode", {"inputs": [{**GOOD, "name": "y"}]}, None, "got another"),
    "twice": ("encode", b'{"id": "a", "id": "b"}', None, "distinct keys"),
    "no shape": ("encode", {"inputs": [{"name": "x"}]}, None, "/inputs: "),
    "width": (
        "encode",
        {"inputs": [{**GOOD, "shape": [1, 15]}]},
        None,
        "expected [N, 16] or [N, 4, 4], got [1, 15]",
    ),
    "negative": ("encode", {"inputs": [{**GOOD, "shape": [-1, 16]}]}, None, "/inputs"),
    "no rows": ("encode", {"inputs": [{**GOOD, "shape": [0, 16]}]}, None, "no rows"),
    "too few": ("encode", {"inputs": [{**GOOD, "shape": [2, 16]}]}, None, "32 numbers"),
    "too many": (
        "encode",
        {"inputs": [{**GOOD, "data": [0] * 17}]},
        None,
        "expected an array of 16 numbers",
    ),
    "words": (
        "encode",
        {"inputs": [{**GOOD, "data": ["a"] * 16}]},
        None,
        "expected data to be an array of numbers",
    ),
    "truths": ("encode", {"inputs": [{**GOOD, "data": [True] * 16}]}, None, "/x: "),
    "half nested": (
        "encode",
        {"inputs": [{**GOOD, "data": [*ROW[:15], [0]]}]},
        None,
        "expected an array of 16 numbers",
    ),
    "other rows": (
        "encode",
        {"inputs": [{**GOOD, "data": [ROW, ROW]}]},
        None,
        "expected 1 rows nested as in the shape",
    ),
    "ragged": ("encode", {"inputs": [{**GOOD, "data": [ROW[:3]]}]}, None, "/x/0: "),
    "range": (
        "encode",
        {"inputs": [{**GOOD, "data": [*ROW[:15], 2]}]},
        None,
        "/x/0/15: expected a value in [0, 1], got 2",
    ),
    "huge": (
        "decode",
        {"inputs": [tensor("z", X[:, :3], data=[0, 1e300, 0])]},
        None,
        "/z/0/1: expected a finite number that fits float32",
    ),
    "integers in JSON": (
        "encode",
        {"inputs": [{**GOOD, "datatype": "UINT8"}]},
        None,
        "expected FP32 or FP64 in JSON",
    ),
    "bytes": (
        "encode",
        {"inputs": [{**GOOD, "datatype": "BYTES", "data": None, "parameters": FOUR}]},
        b"abcd",
        "expected a datatype of FP32",
    ),
    "no values": ("encode", {"inputs": [{**GOOD, "data": None}]}, None, "either"),
    "both": ("encode", {"inputs": [{**GOOD, "parameters": FOUR}]}, None, "either"),
    "short binary": (
        "encode",
        {"inputs": [tensor("x", X, parameters={"binary_data_size": 64})]},
        b"\0" * 63,
        "expected 64 bytes of data by its shape, got 64 announced and 63 bytes",
    ),
    "long binary": (
        "encode",
        {"inputs": [tensor("x", X, parameters={"binary_data_size": 64})]},
        b"\0" * 65,
        "and 65 bytes after the document",
    ),
    "wrong size": (
        "encode",
        {"inputs": [tensor("x", X, parameters=FOUR)]},
        b"\0" * 64,
        "got 4 announced",
    ),
    "not finite": (
        "encode",
        {"inputs": [tensor("x", X, parameters={"binary_data_size": 64})]},
        b"\xff" * 64,
        "/x/0/0: expected a finite number",
    ),
    "behind data": ("encode", {"inputs": [GOOD]}, b"\0", "nothing after a document"),
    "shared memory": (
        "encode",
        {"inputs": [tensor("x", X, parameters={"shared_memory_region": "a"})]},
        None,
        "/inputs: ",
    ),
    "long document": ("encode", {"id": "a" * 5000}, None, "at most 4096 bytes"),
    "long input": (
        "encode",
        {"inputs": [GOOD, {**GOOD, "data": [0.5] * 5000}]},
        None,
        "expected an array of 16 numbers",
    ),
    "output": (
        "encode",
        {"inputs": [GOOD], "outputs": [{"name": "sigma"}]},
        None,
        "expected distinct ones, with these options of mu, log_var",
    ),
    "output twice": (
        "encode",
        {"inputs": [GOOD], "outputs": [{"name": "mu"}] * 2},
        None,
        "expected distinct ones",
    ),
    "absent output": (
        "elbo",
        {"inputs": [GOOD], "outputs": [{"name": "elbo_standard_error"}]},
        None,
        "expected distinct ones, with these options of elbo, log_likelihood, kl",
    ),
    "classes": (
        "encode",
        {
            "inputs": [GOOD],
            "outputs": [{"name": "mu", "parameters": {"classification": 3}}],
        },
        None,
        "/outputs: ",
    ),
    "binary output": (
        "encode",
        {"inputs": [GOOD], "parameters": {"binary_data_output": 1}},
        None,
        "binary_data_output to be true or false",
    ),
    "parameter": (
        "encode",
        {"inputs": [GOOD], "parameters": {"priority": 1}},
        None,
        "/priority: unknown name",
    ),
    "resize": (
        "encode",
        {"inputs": [GOOD], "parameters": {"resize": True}},
        None,
        "/resize: expected none: this protocol has tensors only",
    ),
    "scale": (
        "sample",
        {"parameters": {"scale": 2}},
        None,
        "/scale: expected none",
    ),
    "orient": (
        "sample",
        {"parameters": {"orient": "split"}},
        None,
        "/orient: expected none",
    ),
    "seed": ("sample", {"parameters": {"seed": "1"}}, None, "/seed: expected"),
    "n": ("sample", {"parameters": {"n": 0}}, None, "/n: expected"),
    "n of the input": (
        "sample",
        {"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [0]}]},
        None,
        "/n: expected",
    ),
    "n twice": (
        "sample",
        {
            "inputs": [
                {"name": "n", "datatype": "INT64", "shape": [1], "data": [2]},
            ],
            "parameters": {"n": 2},
        },
        None,
        "/n: expected it once",
    ),
    "half a row": (
        "sample",
        {"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [1.5]}]},
        None,
        "/n: expected one whole number",
    ),
    "two numbers": (
        "sample",
        {"inputs": [{"name": "n", "datatype": "INT64", "shape": [2], "data": [1, 2]}]},
        None,
        "/n: expected one number of INT32 or INT64, of shape [1]",
    ),
    "gray": (
        "elbo",
        {"inputs": [{**GOOD, "data": [0.5] * 16}]},
        None,
        '"binarize"',
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_refused(bernoulli: Served, name: str) -> None:
    """Whatever is wrong is a 422 that says what was expected."""
    model, document, data, words = BAD[name]

    response = post(bernoulli, f"vae-{model}", document, data)

    assert_error(response, 422, words)


@pytest.mark.parametrize("length", ["-1", "a", "99", "9" * 40, "9" * 5000])
def test_a_wrong_length_of_the_document_is_refused(
    bernoulli: Served, length: str
) -> None:
    """It is at most that of the body."""
    response = post(bernoulli, "vae-encode", b"{}", b"", {LENGTH: length})

    assert_error(response, 422, "expected Inference-Header-Content-Length of at most 2")


def test_a_length_of_the_document_may_begin_with_zeros(bernoulli: Served) -> None:
    """Even with more digits than Python converts."""
    response = post(bernoulli, "vae-encode", b"{}", b"", {LENGTH: "0" * 5000 + "2"})

    assert_error(response, 422, "/inputs: expected one input")


def test_an_answer_that_is_not_finite_is_refused(linear: Served) -> None:
    """As in the native call, with the row that led to it."""
    x = np.array([[0, 0], [1e38, 1e38]], np.float32)
    wanted = linear.post("/elbo", {"x": x.astype(float).tolist()}).json()["detail"]

    for ask in (in_binary, in_json):
        assert wanted == assert_error(ask(linear, "vae-elbo", "x", x), 422, "/x/1: ")


def test_limits_are_those_of_the_native_calls(limited: Served) -> None:
    """413 states the limit."""
    rows, z = np.zeros((5, 16), np.float32), np.zeros((4, 3), np.float32)

    assert_error(in_json(limited, "vae-encode", "x", rows), 413, "at most 4 rows")
    assert_error(in_binary(limited, "vae-encode", "x", rows), 413, "at most 4 rows")
    assert_error(in_binary(limited, "vae-decode", "z", z), 413, "the limit is 48 ")
    asked = in_json(limited, "vae-elbo", "x", rows[:1], n_samples=63)
    assert_error(asked, 413, "the limit is 1000")
    body = post(limited, "vae-encode", b" " * 4097)
    assert_error(body, 413, "4096 bytes")
    assert body.headers["connection"] == "close"
