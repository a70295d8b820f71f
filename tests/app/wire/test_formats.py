"""Binary bodies: the same numbers as JSON, and the same strictness."""

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from tests.app.served import Served, assert_problem

SAFETENSORS = "application/vnd.safetensors"
NPY = "application/x-npy"
X = np.random.default_rng(1).random((3, 16)).astype(np.float32)


def npy(array: NDArray[Any], **arguments: Any) -> bytes:
    """Return an array as .npy."""
    file = io.BytesIO()
    np.save(file, array, **arguments)
    return file.getvalue()


def post(
    served: Served, url: str, body: bytes, kind: str, accept: str = "*/*"
) -> httpx.Response:
    """Post a binary body."""
    return served.post_raw(url, body, {"content-type": kind, "accept": accept})


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 16), (3, 4, 4)])
def test_binary_requests_equal_json(
    bernoulli: Served, dtype: type, shape: tuple[int, ...]
) -> None:
    """Safetensors and npy of any float width and shape are answered like JSON."""
    x: NDArray[Any] = X.astype(dtype).reshape(shape)
    wanted = bernoulli.post("/encode", {"x": x.astype(float).tolist()})

    tensors = post(bernoulli, "/encode", save({"x": x}), SAFETENSORS)
    array = post(bernoulli, "/encode", npy(x), NPY)

    assert wanted.status_code == 200
    assert tensors.content == wanted.content
    assert array.content == wanted.content


def test_a_safetensors_answer_holds_the_same_bits_as_json(gaussian: Served) -> None:
    """Tensors have the contract's names; scalars are metadata."""
    asked = {"x": [[0.5, -1, 2, 0, 3]] * 2}
    wanted = gaussian.post("/elbo?seed=5&n_samples=3", asked).json()

    headers = {"accept": SAFETENSORS}
    response = gaussian.post("/elbo?seed=5&n_samples=3", asked, headers=headers)

    tensors = load(response.content)
    length = int.from_bytes(response.content[:8], "little")
    metadata = json.loads(response.content[8 : 8 + length])["__metadata__"]
    assert response.headers["content-type"] == SAFETENSORS
    assert metadata == {"seed": "5", "n_samples": "3", "units": "nats"}
    assert response.headers["vae-seed"] == "5"
    assert tensors.keys() == {
        "elbo",
        "elbo_standard_error",
        "log_likelihood",
        "kl",
        "kl_per_dim",
    }
    for name, values in tensors.items():
        np.testing.assert_array_equal(values, values.dtype.type(wanted[name]))


@pytest.mark.parametrize("url", ["/sample?n=2&seed=3", "/sample?n=0003&seed=3"])
def test_an_npy_answer_is_the_main_array(bernoulli: Served, url: str) -> None:
    """`/sample` as .npy is x; its seed is in a header."""
    wanted = bernoulli.get(url).json()

    response = bernoulli.get(url, headers={"accept": NPY})

    x = np.load(io.BytesIO(response.content), allow_pickle=False)
    assert response.headers["vae-seed"] == "3"
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.float32(wanted["x"]))


def test_npy_is_for_answers_with_one_main_array(
    bernoulli: Served, gaussian: Served
) -> None:
    """A decoded Bernoulli is its mean; a Gaussian has two arrays and is refused."""
    mean = post(bernoulli, "/decode", npy(np.zeros((2, 3))), NPY, NPY)
    two = post(gaussian, "/decode", npy(np.zeros((2, 3))), NPY, NPY)

    assert np.load(io.BytesIO(mean.content)).shape == (2, 4, 4)
    assert SAFETENSORS in assert_problem(two, 406)["detail"]


def header(**tensors: Any) -> bytes:
    """Return the head of a safetensors file."""
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text


def by_text(text: str) -> bytes:
    """Return a safetensors file of one row with this header."""
    return len(text).to_bytes(8, "little") + text.encode() + DATA


ENTRY = {"dtype": "F32", "shape": [1, 16], "data_offsets": [0, 64]}
DATA = bytes(64)
BAD_SAFETENSORS = {
    "empty": b"",
    "short": b"\0\0\0",
    "endless header": b"\xff" * 8 + DATA,
    "long header": (1 << 20).to_bytes(8, "little") + b" " * (1 << 20),
    "no JSON": (4).to_bytes(8, "little") + b"abcd",
    "array": (2).to_bytes(8, "little") + b"[]",
    "nothing": header(),
    "another name": header(y=ENTRY) + DATA,
    "two tensors": header(x=ENTRY, y=ENTRY) + DATA,
    "entry": header(x=1) + DATA,
    "dtype": header(x={**ENTRY, "dtype": "F4"}) + DATA,
    "bfloat16": header(x={**ENTRY, "dtype": "BF16", "data_offsets": [0, 32]}) + DATA,
    "no booleans": header(x={**ENTRY, "dtype": "BOOL", "data_offsets": [0, 16]})
    + b"\2" * 16,
    "dtype kind": header(x={**ENTRY, "dtype": ["F32"]}) + DATA,
    "width": header(x={**ENTRY, "shape": [1, 15], "data_offsets": [0, 60]}) + DATA,
    "rank": header(x={**ENTRY, "shape": [16]}) + DATA,
    "no rank": header(x={**ENTRY, "shape": []}) + DATA,
    "negative": header(x={**ENTRY, "shape": [-1, 16]}) + DATA,
    "boolean": header(x={**ENTRY, "shape": [True, 16]}) + DATA,
    "huge": header(x={**ENTRY, "shape": [2**40, 16]}) + DATA,
    "no rows": header(x={**ENTRY, "shape": [0, 16], "data_offsets": [0, 0]}),
    "offsets": header(x={**ENTRY, "data_offsets": [4, 68]}) + DATA,
    "missing data": header(x=ENTRY) + DATA[1:],
    "further data": header(x=ENTRY) + DATA + b"\0",
    "ranks": header(x={**ENTRY, "shape": [1] * 2000}) + DATA,
    "boolean offset": header(x={**ENTRY, "data_offsets": [False, 64]}) + DATA,
    "offset": header(x={**ENTRY, "data_offsets": [64]}) + DATA,
    "offsets kind": header(x={**ENTRY, "data_offsets": "0, 64"}) + DATA,
    "no offsets": header(x={"dtype": "F32", "shape": [1, 16]}) + DATA,
    "further member": header(x={**ENTRY, "strides": [64, 4]}) + DATA,
    "metadata": header(__metadata__=5, x=ENTRY) + DATA,
    "metadata list": header(__metadata__=[], x=ENTRY) + DATA,
    "metadata of numbers": header(__metadata__={"a": 1}, x=ENTRY) + DATA,
    "a name twice": by_text(f'{{"x": {json.dumps(ENTRY)}, "x": {json.dumps(ENTRY)}}}'),
    "a member twice": by_text(
        '{"x": {"dtype": "F32", "dtype": "F32", "shape": [1, 16],'
        ' "data_offsets": [0, 64]}}'
    ),
    "metadata twice": by_text(
        f'{{"__metadata__": {{}}, "__metadata__": {{}}, "x": {json.dumps(ENTRY)}}}'
    ),
    "long integer": by_text('{"x": {"shape": [%s]}}' % ("9" * 6000)),
    "nested": by_text("[" * 16_000),
    "lone surrogate": by_text('{"\\ud800": 1}'),
    "no UTF-8": (4).to_bytes(8, "little") + b'{"\xff' + DATA,
}


def test_safetensors_may_have_metadata(bernoulli: Served) -> None:
    """Strings about the file change nothing, and nor does what came before it."""
    wanted = post(bernoulli, "/encode", save({"x": X}), SAFETENSORS)

    answers = [
        post(bernoulli, "/encode", save({"x": X}, metadata=metadata), SAFETENSORS)
        for metadata in ({"a": "b"}, {"x": "1"}, {"a": "b"}, {})
    ]

    assert wanted.status_code == 200
    assert {answer.content for answer in answers} == {wanted.content}


@pytest.mark.parametrize("name", BAD_SAFETENSORS)
def test_bad_safetensors_are_refused(bernoulli: Served, name: str) -> None:
    """Whatever is wrong with the file is a 422."""
    response = post(bernoulli, "/encode", BAD_SAFETENSORS[name], SAFETENSORS)

    assert_problem(response, 422)


def npy_text(text: str) -> bytes:
    """Return an .npy file of one row with this header."""
    head = len(text).to_bytes(2, "little") + text.encode()
    return b"\x93NUMPY\x01\x00" + head + DATA


def npy_header(
    descr: str = "'<f4'",
    *,
    order: str = "False",
    shape: str = "(1, 16)",
    more: str = "",
) -> bytes:
    """Return an .npy file of one row whose header has these values."""
    return npy_text(
        f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{more}}}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 16), }   \n",
        "{'descr':'<f4','fortran_order':False,'shape':(1,16)}",
        '{"shape": (1L, 16L), "descr": "<f4", "fortran_order": False}',
        " { 'shape' : ( 1 , 16 , ) , 'fortran_order' : False , 'descr' : '<f4' , } ",
    ],
)
def test_headers_of_npy_are_read_as_programs_write_them(
    bernoulli: Served, text: str
) -> None:
    """In any order and spacing, with either quotes, and with the L of Python 2."""
    assert post(bernoulli, "/encode", npy_text(text), NPY).status_code == 200


BAD_NPY = {
    "empty": b"",
    "magic": b"NUMPY" + npy(X)[5:],
    "version 3": npy(X)[:6] + b"\x03\x00" + npy(X)[8:],
    "integers": npy(np.ones((1, 16), np.int32)),
    "complex": npy(X.astype(np.complex64)),
    "text": npy(X.astype("U4")),
    "times": npy(X.astype("M8[s]")),
    "no booleans": npy(X > 0.5).replace(b"\1", b"\2"),
    "object": npy(np.array([[None] * 16]), allow_pickle=True),
    "structured": npy(np.zeros(1, dtype=[("a", "<f4")])),
    "Fortran order": npy(np.asfortranarray(np.ones((2, 15), np.float32))),
    "width": npy(np.ones((1, 15), np.float32)),
    "no rows": npy(np.ones((0, 16), np.float32)),
    "scalar": npy(np.array(1, np.float32)),
    "truncated": npy(X)[:-1],
    "further data": npy(X) + b"\0",
    "long header": b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535,
    "nested header": b"\x93NUMPY\x01\x00\x90\x01" + b"(" * 400,
    "negated header": b"\x93NUMPY\x01\x00\x90\x01" + b"-" * 399 + b"1",
    "header calls": b"\x93NUMPY\x01\x00\x10\x00__import__('os')",
    "no descr": npy_header("()"),
    "a tuple for descr": npy_header("('<f4',)"),
    "nested descr": npy_header("('<f4', ('<f4', ('<f4',)))"),
    "a list for descr": npy_header("[]"),
    "a field": npy_header("[('a', '<f4')]"),
    "a dict for descr": npy_header("{'a': '<f4'}"),
    "a number for descr": npy_header("4"),
    "nothing for descr": npy_header("None"),
    "a boolean in the shape": npy_header(shape="(True, 16)"),
    "a boolean alone": npy_header(shape="True"),
    "a list for the shape": npy_header(shape="[1, 16]"),
    "a number for the shape": npy_header(shape="16"),
    "a negative shape": npy_header(shape="(-1, 16)"),
    "a shape of floats": npy_header(shape="(1.0, 16)"),
    "a huge shape": npy_header(shape=f"({'9' * 18}, 16)"),
    "a shape of long numbers": npy_header(shape=f"({'9' * 400}, 16)"),
    "an order of 0": npy_header(order="0"),
    "an order of text": npy_header(order="'False'"),
    "a member twice": npy_header(more=", 'descr': '<f4'"),
    "a further member": npy_header(more=", 'a': 1"),
    "swapped values": npy_header("False", order="'<f4'"),
    "a set": npy_text("{'descr', 'fortran_order', 'shape'}"),
    "text after it": npy_header(more="} {"),
}


@pytest.mark.parametrize("name", BAD_NPY)
def test_bad_npy_files_are_refused(bernoulli: Served, name: str) -> None:
    """Whatever is wrong with the file is a 422; nothing is ever unpickled."""
    assert_problem(post(bernoulli, "/encode", BAD_NPY[name], NPY), 422)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_that_are_not_finite_are_pointed_at(
    bernoulli: Served, value: float
) -> None:
    """Binary numbers have the same bounds as JSON's; the pointer is in their shape."""
    x = X.astype(np.float64).reshape(3, 4, 4).copy()
    x[1, 2, 3] = value

    problem = assert_problem(post(bernoulli, "/encode", npy(x), NPY), 422)

    assert problem["errors"][0]["pointer"] == "/x/1/2/3"


def test_large_finite_values_are_accepted(linear: Served) -> None:
    """Values whose squares overflow float32 are finite all the same."""
    x = np.full((1, 2), 1e30, np.float32)

    assert post(linear, "/encode", npy(x), NPY).status_code == 200


def test_options_of_a_binary_request_are_in_the_query(bernoulli: Served) -> None:
    """They mean what they mean in a JSON body."""
    body = save({"x": X})

    response = post(
        bernoulli, "/elbo?seed=9&n_samples=2&binarize=threshold", body, SAFETENSORS
    )

    asked = {"seed": 9, "n_samples": 2, "binarize": "threshold", "x": X.tolist()}
    assert response.content == bernoulli.post("/elbo", asked).content


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        (f"{NPY}, application/json;q=0.9", NPY),
        (f"application/json;q=0.5, {SAFETENSORS};q=0.6", SAFETENSORS),
        (f"application/json;q=0, application/*;q=0.2, {NPY};q=0.1", SAFETENSORS),
        (f"{NPY};q=2, application/json;q=0.1", "application/json"),
        ("APPLICATION/JSON ; Q=1", "application/json"),
    ],
)
def test_the_client_chooses_the_format(
    bernoulli: Served, accept: str, kind: str
) -> None:
    """Qualities and wildcards of Accept count; ties go to JSON."""
    response = bernoulli.get("/sample", headers={"accept": accept})

    assert response.status_code == 200
    assert response.headers["content-type"] == kind


def test_content_type_parameters_are_accepted(bernoulli: Served) -> None:
    """A charset of UTF-8, in any case, is JSON."""
    headers = {"content-type": 'Application/JSON; charset="UTF-8"'}

    response = bernoulli.post_raw("/sample", b'{"n": 2}', headers)

    assert response.status_code == 200
