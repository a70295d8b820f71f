"""What a 415 says: what came, and which header to send."""

import pytest

from app.errors import UnsupportedMediaTypeError
from app.wire.negotiation import (
    CSV,
    JPEG,
    JSON,
    NPY,
    PARQUET,
    PNG,
    SAFETENSORS,
    Formats,
    request_format,
)
from tests.app.served import Served, assert_problem

ARRAYS: Formats = (JSON, SAFETENSORS, NPY)
IMAGES: Formats = (*ARRAYS, PNG, JPEG)
HEADER = "send the header Content-Type: "


def refusal(content_type: str | None, readable: Formats = IMAGES) -> str:
    """Return what is said about a body of this type."""
    with pytest.raises(UnsupportedMediaTypeError) as refused:
        request_format(
            None if content_type is None else content_type.encode(), None, readable
        )
    detail = refused.value.detail
    assert detail.startswith("expected a Content-Type of application/json, ")
    return detail.partition(", got ")[2]


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        (None, f"none; {HEADER}application/json"),
        (
            "application/x-www-form-urlencoded",
            (
                "application/x-www-form-urlencoded; curl -d sends this by itself: "
                "add -H 'Content-Type: application/json'"
            ),
        ),
        (
            "text/plain;charset=UTF-8",
            (
                "text/plain; fetch sends this for a string; "
                "send the header Content-Type: application/json"
            ),
        ),
        (
            "multipart/form-data; boundary=x",
            (
                "multipart/form-data; send the file alone, not in a form: "
                "curl URL -H 'Content-Type: image/png' --data-binary @FILE"
            ),
        ),
        ("image/jpg", f"image/jpg; {HEADER}image/jpeg"),
        ("Application/X-Safetensors", f"application/x-safetensors; {HEADER}"),
        ("application/numpy", f"application/numpy; {HEADER}application/x-npy"),
        ("application/octet-stream", "application/octet-stream; name the format"),
        ("image/webp", "image/webp; convert the image to PNG or JPEG"),
        (
            "application/json; charset=latin-1",
            "application/json with a charset other than utf-8; send the text in UTF-8",
        ),
        ("application/jsonx", "application/jsonx"),
        ("", "something else"),
        ("<script>", "something else"),
        ("a/" + "b" * 100, "something else"),
    ],
)
def test_a_415_names_what_came_and_the_next_step(
    content_type: str | None, said: str
) -> None:
    """A short, plain media type is repeated; for usual mistakes a header follows."""
    assert refusal(content_type).startswith(said)


def test_the_next_step_is_one_that_the_call_accepts() -> None:
    """Where images are not accepted, none is suggested; CSV only where it is read."""
    upload = refusal("multipart/form-data", ARRAYS)
    arrow = [
        refusal("application/vnd.apache.arrow.file", formats)
        for formats in (ARRAYS, (*ARRAYS, CSV), (*ARRAYS, CSV, PARQUET))
    ]

    assert "-H 'Content-Type: application/x-npy'" in upload
    assert "unpack it and send application/" in arrow[0]
    assert "; unpack it and send text/csv, or a data frame" in arrow[1]
    assert "; write it as Parquet, pyarrow.parquet.write_table" in arrow[2]
    assert refusal("image/jpg", ARRAYS) == "image/jpg"
    assert refusal("image/png", ARRAYS) == "image/png"


@pytest.mark.parametrize("name", ["vnd.apache.parquet", "parquet", "x-parquet"])
def test_parquet_names_the_extra_that_it_needs(name: str) -> None:
    """Where the service has it, another name of it is put right."""
    lacking = refusal(f"application/{name}", (*ARRAYS, CSV))
    numbers = refusal(f"application/{name}", ARRAYS)

    assert "the service lacks the extra `parquet`: pip install '.[parquet]'" in lacking
    assert "or unpack it and send text/csv, or a data frame" in lacking
    assert "`parquet`" not in numbers
    if name != "vnd.apache.parquet":
        readable = (*ARRAYS, CSV, PARQUET)
        assert f"{HEADER}{PARQUET.name}" in refusal(f"application/{name}", readable)


@pytest.mark.parametrize("path", ["/encode", "/sample", "/impute", "/traverse"])
def test_every_call_says_it_in_a_small_document(bernoulli: Served, path: str) -> None:
    """Whole, not cut, and below a kilobyte."""
    headers = {"content-type": "application/x-www-form-urlencoded"}

    problem = assert_problem(bernoulli.post_raw(path, b"{}", headers), 415)

    assert problem["detail"].endswith("add -H 'Content-Type: application/json'")
