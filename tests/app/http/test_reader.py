"""Every bad request gets its 4xx problem, under 1 kB, and the service lives."""

import asyncio
import itertools
import json
import time

import numpy as np
import pytest
from safetensors.numpy import save

from app.errors import UnprocessableError
from app.wire import safetensors
from app.wire.body import Body
from app.wire.json import strict
from app.wire.layout import Layout, Rows
from tests.app.served import JSON, Served, assert_problem

ROW = [0.5] * 16
WANTED = "[N, 16] or [N, 4, 4]"
SAFETENSORS = {"content-type": "application/vnd.safetensors"}


def body(x: str, rest: str = "") -> bytes:
    """Return the body of an `/encode` whose x is this text."""
    return f'{{"x": {x}{rest}}}'.encode()


def with_value(text: str) -> bytes:
    """Return a body of two rows whose value (1, 3) is this text."""
    row = ["0.5"] * 16
    bad = [*row[:3], text, *row[4:]]
    return body(f"[[{', '.join(row)}], [{', '.join(bad)}]]")


BAD_VALUES = {
    "NaN": "nan",
    "Infinity": "inf",
    "-Infinity": "-inf",
    "1e999": "inf",
    "-1e400": "-inf",
    "1e39": "1e+39",
    "3.5e38": "3.5e+38",
    '"1"': "a string",
    "true": "a boolean",
    "false": "a boolean",
    "null": "null",
    "[1]": "an array",
    "[]": "an array",
    "{}": "an object",
    "9" * 60: "1e+60",
    "9" * 5000: "inf",
}


@pytest.mark.parametrize("text", BAD_VALUES, ids=lambda text: text[:12])
def test_a_value_that_is_no_finite_number_is_refused(
    bernoulli: Served, text: str
) -> None:
    """The error points at the value and says what came."""
    problem = assert_problem(bernoulli.post_raw("/encode", with_value(text)), 422)

    assert problem["errors"][0]["pointer"] == "/x/1/3"
    assert problem["errors"][0]["detail"].endswith(f"got {BAD_VALUES[text]}")


POSTS = ["encode", "decode", "sample", "elbo", "loglik", "gap", "refine", "posterior"]
POSTS += ["anomaly", "impute", "interpolate", "traverse"]
SURROGATES = {
    "a key": r'{"\ud800": 1}',
    "a key beside x": r'{"x": [[0]], "\udfff": 1}',
    "a key beside z": r'{"z": [[0, 0]], "a\ud800\u0041": 1}',
    "a key before an option": r'{"\uDC00\uD800": [], "n": 1}',
    "a key of a member": r'{"seed": {"\ud800": 1}}',
    "a text": r'{"binarize": "\ud800", "draw": "\ud800", "x": [[0]], "z": [[0, 0]]}',
    "a text in an array": r'{"seed": ["\ud800"], "n": ["\ud800"], "x": ["\ud800"]}',
    "a text alone": r'"\ud800"',
    "images": r'{"x_png": "\ud800"}',
    "a mask": r'{"x": [[0]], "mask": [["\ud800"]]}',
}


@pytest.mark.parametrize("text", SURROGATES.values(), ids=SURROGATES)
def test_half_of_a_surrogate_pair_is_a_fault_of_the_body(
    plane: Served, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """JSON can escape what no encoding can write: every call with a body says 422."""
    asked = [("POST", f"/{call}", {"content": text, "headers": JSON}) for call in POSTS]

    answers = plane.together(asked)

    for answer in answers:
        assert_problem(answer, 422)
    assert caplog.text == ""


BAD_ARRAYS = {
    json.dumps([ROW, ROW[:-1]]): ("/x/1", f"{WANTED}, got a row of 15 values"),
    json.dumps([ROW, [*ROW, 0.5]]): ("/x/1", f"{WANTED}, got a row of 17 values"),
    json.dumps([ROW, []]): ("/x/1", f"{WANTED}, got a row of 0 values"),
    json.dumps([ROW, 5]): ("/x/1", f"{WANTED}, got 5 in place of an array"),
    json.dumps(ROW): ("/x/0", f"{WANTED}, got 0.5 in place of an array"),
    # As many values, and as many elements per row, as two good rows have.
    json.dumps([[*ROW[:14], [], [0.5, 0.5]], ROW]): ("/x/0/14", "got an array"),
    json.dumps([[*ROW[:15], [0.5]], ROW]): ("/x/0/15", "got an array"),
    json.dumps([[ROW[:4]] * 3]): ("/x/0", f"{WANTED}, got a row of 3 values"),
    json.dumps([[*[ROW[:4]] * 3, ROW[:3]]]): (
        "/x/0/3",
        f"{WANTED}, got a part of a row of 3 values",
    ),
    json.dumps([[ROW[:4]] * 4, ROW]): ("/x/1", f"{WANTED}, got a row of 16 values"),
    json.dumps([[[[0.5]] * 4] * 4]): ("/x/0/0/0", "got an array"),
    "[]": ("/x", f"{WANTED}, got no rows"),
    "[[]]": ("/x/0", f"{WANTED}, got a row of 0 values"),
    "5": ("/x", f"{WANTED}, got 5"),
    "null": ("/x", f"{WANTED}, got null"),
    '"[]"': ("/x", f"{WANTED}, got a string"),
    "{}": ("/x", f"{WANTED}, got an object"),
}


@pytest.mark.parametrize("text", BAD_ARRAYS, ids=lambda text: text[:20])
def test_an_array_of_another_shape_is_refused(bernoulli: Served, text: str) -> None:
    """The error points at the row and says which shape was wanted and which came."""
    pointer, detail = BAD_ARRAYS[text]

    problem = assert_problem(bernoulli.post_raw("/encode", body(text)), 422)

    assert problem["errors"][0]["pointer"] == pointer
    assert problem["errors"][0]["detail"].endswith(detail)


GOOD = json.dumps([ROW])
BAD_DOCUMENTS = {
    "empty body": (b"", "expected JSON"),
    "no JSON": (b"x=1", "expected JSON"),
    "truncated": (body(GOOD)[:-2], "expected JSON"),
    "trailing data": (body(GOOD) + b" x", "expected JSON"),
    "two documents": (body(GOOD) * 2, "expected JSON"),
    "trailing comma": (body(GOOD[:-2] + ",]]"), "expected JSON"),
    "byte order mark": (b"\xef\xbb\xbf" + body(GOOD), "expected JSON"),
    "invalid UTF-8": (b'{"\xff": 1, "x": ' + GOOD.encode() + b"}", "UTF-8"),
    "UTF-16": (body(GOOD).decode().encode("utf-16"), "UTF-8"),
    "nesting": (body("[" * 50_000 + "]" * 50_000), "nested too deeply"),
    "open nesting": (b"[" * 100_000, "nested too deeply"),
    "deep objects": (b'{"x":' * 20_000, "nested too deeply"),
    "an array": (GOOD.encode(), "expected an object"),
    "a number": (b"1", "expected an object with x, got 1"),
    "null": (b"null", "expected an object with x, got null"),
    "unknown key": (body(GOOD, ', "y": 1'), "unknown name"),
    "unknown array": (body(GOOD, ', "y": [1]'), "unknown name"),
    "key twice": (body(GOOD, f', "x": {GOOD}'), "distinct keys"),
    "missing key": (b"{}", "it is missing"),
    "another key": (b'{"z": [[1]]}', "it is missing"),
    "option of another call": (body(GOOD, ', "seed": 1'), "unknown name"),
    "leading zero": (with_value("01"), "expected JSON"),
    "lone surrogate": (b'{"\\ud800": 1}', "lone surrogate"),
    "control character": (b'{"x\x00": 1}', "expected JSON"),
}


@pytest.mark.parametrize("name", BAD_DOCUMENTS)
def test_a_bad_document_is_refused(bernoulli: Served, name: str) -> None:
    """Each gets a 422 that says what was wanted, without repeating it."""
    document, words = BAD_DOCUMENTS[name]

    problem = assert_problem(bernoulli.post_raw("/encode", document), 422)

    assert words in problem["errors"][0]["detail"]


@pytest.mark.parametrize(
    "document",
    [
        body(json.dumps([["a"] * 16] * 3000)),
        body(json.dumps([[None] * 16] * 3000)),
        body(json.dumps([[0.5] * 15] * 3000)),
        json.dumps({f"key{i}": i for i in range(30_000)}).encode(),
        json.dumps({"k" * 1_000_000: 1}).encode(),
        json.dumps({"x": "s" * 2_000_000}).encode(),
        b'{"x": [' + b"[1e5000000]," * 10_000 + b"[1]]}",
        b"[" * 2_000_000,
        b'{"x": [[' + b" " * 1_000_000 + b"]]}",
        b"\xff" * 1_000_000,
    ],
    ids=itertools.count(),
)
def test_a_large_bad_body_gets_a_small_answer(
    bernoulli: Served, document: bytes
) -> None:
    """However much is wrong, the answer is under 1 kB and repeats nothing long."""
    assert_problem(bernoulli.post_raw("/encode", document), 422)


BAD_OPTIONS = [
    ("/sample", {"n": 0}, "/n"),
    ("/sample", {"n": 1.5}, "/n"),
    ("/sample", {"n": 2.0}, "/n"),
    ("/sample", {"n": True}, "/n"),
    ("/sample", {"n": "1"}, "/n"),
    ("/sample", {"seed": -1}, "/seed"),
    ("/sample", {"seed": 2**63}, "/seed"),
    ("/sample", {"seed": 10**30}, "/seed"),
    ("/sample", {"seed": [1]}, "/seed"),
    ("/sample", {"temperature": -0.1}, "/temperature"),
    ("/sample", {"temperature": 101}, "/temperature"),
    ("/sample", {"temperature": True}, "/temperature"),
    ("/sample", {"draw": "median"}, "/draw"),
    ("/sample", {"count": 1}, "/count"),
    ("/elbo", {"x": [[1] * 16], "n_samples": 0}, "/n_samples"),
    ("/elbo", {"x": [[1] * 16], "n_samples": 10_001}, "/n_samples"),
    ("/elbo", {"x": [[1] * 16], "binarize": "none"}, "/binarize"),
    ("/elbo", {"x": [[1] * 16], "binarize": True}, "/binarize"),
    ("/elbo", {"x": [[1] * 16], "binarize": "a:b"}, "/binarize"),
    ("/elbo", {"x": [[1] * 16], "seed": "[]"}, "/seed"),
]


@pytest.mark.parametrize(("url", "document", "pointer"), BAD_OPTIONS)
def test_a_bad_option_is_refused(
    bernoulli: Served, url: str, document: dict[str, object], pointer: str
) -> None:
    """The error points at the option."""
    problem = assert_problem(bernoulli.post(url, document), 422)

    assert problem["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("n=0", "/n"),
        ("n=x", "/n"),
        ("n=", "/n"),
        ("n", ""),
        ("n=1.0", "/n"),
        ("n=1_0", "/n"),
        ("n=%201", "/n"),
        ("n=true", "/n"),
        ("n=1&n=1", "/n"),
        ("seed=-1", "/seed"),
        ("seed=1e3", "/seed"),
        ("temperature=nan", "/temperature"),
        ("temperature=1e999", "/temperature"),
        ("draw=1", "/draw"),
        ("size=1", "/size"),
        ("n=%ff", ""),
        ("&".join(f"a{i}=1" for i in range(1000)), ""),
    ],
)
def test_a_bad_query_is_refused(bernoulli: Served, query: str, pointer: str) -> None:
    """Query parameters are read as strictly as bodies."""
    problem = assert_problem(bernoulli.get(f"/sample?{query}"), 422)

    assert problem["errors"][0]["pointer"] == pointer


def test_an_option_given_twice_is_refused(bernoulli: Served) -> None:
    """A parser that takes the last of two would hide a mistake."""
    twice = b'{"seed": 1, "x": [[1, 0]], "seed": 2}'
    whole = twice.replace(b"[1, 0]", str([1, 0] * 8).encode())

    for url, document in (("/elbo", whole), ("/sample", b'{"seed": 1, "seed": 2}')):
        problem = assert_problem(bernoulli.post_raw(url, document), 422)

        assert problem["errors"][0]["pointer"] == "/seed"
        assert "distinct keys" in problem["detail"]


def test_a_duplicate_key_is_found_in_linear_time() -> None:
    """A body of 120 KB must not keep a processor busy for seconds."""

    def seconds(n_keys: int) -> float:
        keys = [*range(n_keys), n_keys - 1]
        document = b"{%b}" % b",".join(b'"b%d":0' % key for key in keys)
        start = time.thread_time()
        with pytest.raises(UnprocessableError, match="duplicate"):
            strict.parse_members(document)
        return time.thread_time() - start

    few, many = (min(seconds(n) for _ in range(3)) for n in (1000, 10_000))

    assert many < 40 * few


def test_a_long_tensor_is_read_in_a_thread(
    bernoulli: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever x or z may come, other requests are served meanwhile."""
    read, is_in_loop = safetensors.read, list[bool]()

    def noted(content: Body, layout: Layout) -> Rows:
        is_in_loop.append(asyncio._get_running_loop() is not None)
        return read(content, layout)

    monkeypatch.setattr(safetensors, "read", noted)
    z = np.zeros((4, 1 << 17), np.float32)
    long = save({"z": z})

    for url in ("/decode", "/traverse", "/interpolate"):
        assert_problem(bernoulli.post_raw(url, long, SAFETENSORS), 422)

    assert is_in_loop == [False] * 3


def test_gray_values_are_no_bernoulli_data(bernoulli: Served) -> None:
    """The ELBO of a gray value is refused, naming the option; encoding it is not."""
    gray = [[1.0] * 16, [[0.0] * 4, [0.0, 0.0, 0.25, 0.0], [0.0] * 4, [0.0] * 4]]

    flat = assert_problem(bernoulli.post("/elbo", {"x": [[0.25] * 16]}), 422)
    shaped = assert_problem(bernoulli.post("/elbo", {"x": [gray[1]]}), 422)
    outside = assert_problem(bernoulli.post("/elbo", {"x": [[2] * 16]}), 422)

    assert flat["errors"][0]["pointer"] == "/x/0/0"
    assert "{0, 1}, got 0.25" in flat["detail"]
    assert "binarize" in flat["detail"]
    assert shaped["errors"][0]["pointer"] == "/x/0/1/2"
    assert "binarize" not in outside["detail"]
    assert bernoulli.post("/encode", {"x": [[0.25] * 16]}).status_code == 200


def test_binarize_is_for_bernoulli_models(gaussian: Served) -> None:
    """Binary data under a Gaussian would be a mistake."""
    asked = {"x": [[0.5] * 5], "binarize": "threshold"}

    problem = assert_problem(gaussian.post("/elbo", asked), 422)

    assert problem["errors"][0]["pointer"] == "/binarize"
    assert "gaussian" in problem["detail"]


CONTENT_TYPES = [
    ({}, 415),
    ({"content-type": "text/plain"}, 415),
    ({"content-type": "application/jsonx"}, 415),
    ({"content-type": "application/json; charset=latin-1"}, 415),
    ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ({**JSON, "content-encoding": "br"}, 415),
    ({**JSON, "accept": "image/png"}, 406),
    ({**JSON, "accept": "application/json;q=0"}, 406),
    ({**JSON, "accept": "application/x-npy"}, 406),
    ({**JSON, "accept": "nonsense"}, 406),
]


@pytest.mark.parametrize(("headers", "status"), CONTENT_TYPES)
def test_a_type_that_is_not_spoken_here_is_refused(
    bernoulli: Served, headers: dict[str, str], status: int
) -> None:
    """415 and 406 name what is supported."""
    response = bernoulli.post_raw("/encode", body(GOOD), headers)

    problem = assert_problem(response, status)
    if "content-encoding" not in headers:
        assert "application/json, application/vnd.safetensors" in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/encode", "POST"),
        ("DELETE", "/sample", "GET, HEAD, POST"),
        ("POST", "/model", "GET, HEAD"),
        ("PUT", "/elbo", "POST"),
        ("POST", "/livez", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    bernoulli: Served, method: str, path: str, allow: str
) -> None:
    """405 comes with Allow, naming the methods of every route of the path."""
    response = bernoulli.request(method, path)

    assert_problem(response, 405)
    assert response.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/nope", "/encode/x", "/" + "a" * 5000, "/%00"])
def test_a_wrong_path_is_not_found(bernoulli: Served, path: str) -> None:
    """404 is a problem like any other, also where the path is long."""
    assert_problem(bernoulli.get(path), 404)


def test_the_service_lives_after_all_of_it(bernoulli: Served) -> None:
    """A good request after bad ones is answered."""
    for document, _ in BAD_DOCUMENTS.values():
        bernoulli.post_raw("/encode", document)

    response = bernoulli.post_raw("/encode", body(GOOD))

    assert response.status_code == 200
