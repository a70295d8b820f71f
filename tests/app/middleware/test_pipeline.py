"""What every response has, whichever call it is of."""

import pytest

from tests.app.served import Served


@pytest.mark.parametrize("path", ["/model", "/livez", "/readyz", "/sample?seed=1"])
def test_head_is_get_without_the_body(bernoulli: Served, path: str) -> None:
    """HEAD has the length of GET and no content."""
    get, head = bernoulli.get(path), bernoulli.request("HEAD", path)

    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))


def test_every_answer_has_a_request_id(bernoulli: Served) -> None:
    """A fresh one each time, or the client's own if it is a plain one."""
    paths = ("/sample", "/model", "/nope")
    fresh = [bernoulli.get(path).headers["x-request-id"] for path in paths]

    for path in paths:
        kept = bernoulli.get(path, headers={"x-request-id": "my-id.1"})
        replaced = bernoulli.get(path, headers={"x-request-id": "a" * 65})

        assert kept.headers["x-request-id"] == "my-id.1"
        assert replaced.headers["x-request-id"] != "a" * 65
    assert len(set(fresh)) == 3


@pytest.mark.parametrize("path", ["/livez/", "/encode/", "/docs/"])
def test_a_redirect_has_nothing_of_host(bernoulli: Served, path: str) -> None:
    """It is relative: built from Host, it would lead to http where TLS is in front."""
    answer = bernoulli.get(path, headers={"host": "evil.example"})

    assert answer.status_code == 308
    assert answer.headers["location"] == f"..{path.rstrip('/')}"
