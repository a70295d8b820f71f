"""The page at `/`: what is sent, under which headers, and that it is all of ours."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app import explorer
from app.calls import examples
from app.http.static_files import INDEX
from model import checkpoint
from model.checkpoint.held_out import Examples
from tests.app.served import Served, assert_problem
from tests.tiny import calibrated, save_tiny, tiny_config, tiny_vae

MAX_BYTES = 104_000
FILES = explorer.files()
SCRIPTS = [name for name in FILES if name.endswith(".js")]
PATHS = ["/", *(f"/explorer/{name}" for name in FILES if name != INDEX)]
SCORES = np.linspace(100, 50, 21)


def text(name: str) -> str:
    """Return a file of the page."""
    return FILES[name].content.decode()


@pytest.fixture(scope="module")
def rows() -> Examples:
    """Return rows to look at, with labels."""
    x = np.random.default_rng(1).integers(0, 2, (6, 16)).astype(np.float32)
    return Examples(x=x, gray=None, labels=np.arange(6, dtype=np.int64) % 3)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, rows: Examples) -> Path:
    """Write a checkpoint with held-out rows and scores."""
    directory = tmp_path_factory.mktemp("held_out") / "held_out"
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(4, 4)))
    attachments = {checkpoint.EXAMPLES: rows.to_bytes(), **calibrated(SCORES)}
    return save_tiny(directory, vae, attachments)


@pytest.fixture(scope="module")
def with_rows(path: Path) -> Iterator[Served]:
    """Serve the checkpoint with held-out rows."""
    with Served(path) as served:
        yield served


@pytest.mark.parametrize("path", PATHS)
def test_files_come_with_headers_that_keep_them_in(
    bernoulli: Served, path: str
) -> None:
    """A strong ETag, revalidation, and a policy of own scripts and own styles only."""
    get, head = bernoulli.get(path), bernoulli.request("HEAD", path)
    policy = get.headers["content-security-policy"]

    assert get.status_code == head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))
    assert re.fullmatch(r'"[0-9a-f]{64}"', get.headers["etag"])
    assert get.headers["cache-control"] == "no-cache"
    assert get.headers["x-content-type-options"] == "nosniff"
    assert get.headers["referrer-policy"] == "no-referrer"
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", PATHS)
def test_files_are_fetched_once(bernoulli: Served, path: str) -> None:
    """A request with the ETag gets an empty 304 under the same policy."""
    first = bernoulli.get(path)

    again = bernoulli.get(path, headers={"if-none-match": first.headers["etag"]})
    other = bernoulli.get(path, headers={"if-none-match": '"other"'})

    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    policy = "content-security-policy"
    assert again.headers[policy] == first.headers[policy]
    assert other.content == first.content


def test_types_are_those_that_browsers_run(bernoulli: Served) -> None:
    """With nosniff a script or style of another type would not run."""
    wanted = {
        "": "text/html; charset=utf-8",
        "explorer/main.js": "text/javascript; charset=utf-8",
        "explorer/style.css": "text/css; charset=utf-8",
        "explorer/icon.svg": "image/svg+xml",
    }

    for path, media_type in wanted.items():
        assert bernoulli.get(f"/{path}").headers["content-type"] == media_type


@pytest.mark.parametrize("name", ["nope.js", "__init__.py", "..%2Fmain.py", "a/b"])
def test_nothing_else_is_served(bernoulli: Served, name: str) -> None:
    """Only the page's files are there: not the module beside them, not its parent's."""
    assert_problem(bernoulli.get(f"/explorer/{name}"), 404)


def test_the_page_is_small() -> None:
    """All files together, as they are sent."""
    assert sum(len(file.content) for file in FILES.values()) < MAX_BYTES


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host(name: str) -> None:
    """The one address that is no path is the namespace of SVG, never fetched."""
    found = re.findall(r"(?:\w+:)?//[\w.]+[^\s\"'`)]*", text(name))
    addresses = [one for one in found if not one.startswith("//") or "." in one]

    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def test_the_page_has_no_inline_script_or_style() -> None:
    """The policy would block them."""
    page = text(INDEX)

    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert not any('setAttribute("style"' in text(name) for name in SCRIPTS)


def test_every_file_that_is_named_is_there() -> None:
    """Links of the page and imports of its modules lead to files; none is unused."""
    page = text(INDEX)
    named = set(re.findall(r'(?:href|src)="explorer/([^"]+)"', page))
    for name in SCRIPTS:
        named |= set(re.findall(r'from "\./([^"]+)"', text(name)))

    assert named == FILES.keys() - {INDEX}


def test_every_element_that_scripts_look_up_is_on_the_page() -> None:
    """Each id that a module names stands in the page, once."""
    ids = re.findall(r'\sid="([^"]+)"', text(INDEX))
    named = {
        name
        for script in SCRIPTS
        for name in re.findall(r'\$\("([^"]+)"\)', text(script))
    }

    assert len(ids) == len(set(ids))
    assert named - set(ids) == set()
    assert named


def test_every_path_that_scripts_ask_for_is_documented(bernoulli: Served) -> None:
    """The page talks to the API that everybody has."""
    paths = bernoulli.get("/openapi.json").json()["paths"]
    code = "".join(text(name) for name in SCRIPTS)
    posted = set(re.findall(r'call\("(/\w+)", ', code))
    got = set(re.findall(r'call\("(/\w+)"\)', code))

    of_cells = {"/impute", "/anomaly"}
    of_all = {"/encode", "/decode", "/sample", "/elbo", "/interpolate"}
    assert posted == of_all | of_cells
    assert got == {"/model", "/examples"}
    assert all("post" in paths[path] for path in posted)
    assert all("get" in paths[path] for path in got)


def test_without_the_explorer_the_index_leads_to_the_documentation(
    checkpoints: Path,
) -> None:
    """The setting takes the page and the rows away, and leaves the API."""
    with Served(checkpoints / "bernoulli", explorer=False) as served:
        index, head = served.get("/"), served.request("HEAD", "/")

        assert index.status_code == head.status_code == 307
        assert served.get(index.headers["location"]).status_code == 200
        assert_problem(served.get("/explorer/main.js"), 404)
        assert_problem(served.get("/examples"), 404)
        assert "/examples" not in served.get("/openapi.json").json()["paths"]


def test_examples_are_the_rows_of_the_checkpoint(
    with_rows: Served, rows: Examples
) -> None:
    """In the shape of the data, with labels, and as the model takes them."""
    document = with_rows.get("/examples").json()

    np.testing.assert_array_equal(document["x"], rows.x.reshape(6, 4, 4))
    assert rows.labels is not None
    assert document["labels"] == rows.labels.tolist()
    assert with_rows.post("/elbo", {"x": document["x"]}).status_code == 200


def test_scores_are_told_as_quantiles_of_the_elbo(with_rows: Served) -> None:
    """Of -ELBO from 50 to 100, evenly: the ELBO at p percent is -100 + p / 2."""
    elbo = with_rows.get("/examples").json()["elbo"]

    np.testing.assert_allclose(elbo["quantiles"], np.linspace(-100, -50, 101))
    assert elbo["n"] == len(SCORES)
    assert elbo["split"] == "validation"
    assert elbo["binarization"] == "static"
    assert elbo["n_samples"] == 4


def test_a_checkpoint_without_rows_has_an_empty_list(bernoulli: Served) -> None:
    """Nothing held out is no error; HEAD and ETag are as of any document."""
    answer = bernoulli.get("/examples")
    head = bernoulli.request("HEAD", "/examples")
    etag = answer.headers["etag"]
    again = bernoulli.get("/examples", headers={"if-none-match": etag})

    assert answer.json() == {"x": [], "labels": None, "elbo": None}
    assert head.content == b""
    assert head.headers["content-length"] == str(len(answer.content))
    assert again.status_code == 304


def test_examples_of_many_values_are_fewer(
    path: Path, with_rows: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most MAX_VALUES values are sent: of long rows, rows at even distances."""
    assert examples.MAX_VALUES >= 64 * 32 * 32 * 3
    monkeypatch.setattr(examples, "MAX_VALUES", 3 * 16 + 15)

    whole = with_rows.get("/examples").json()
    with Served(path) as served:
        half = served.get("/examples").json()

    assert len(whole["x"]) == 6
    assert half["x"] == whole["x"][::2]
    assert half["labels"] == whole["labels"][::2]
