"""README and docs keep their promises: commands run, tables are those of the code."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.calls.model import PHI, THETA
from app.observability.access_log import Line
from app.settings import setting_rows
from model.data import NAMES
from model.likelihoods import LIKELIHOODS
from tests.app.processes import process
from tests.tiny import calibrated, save_tiny, tiny_config, tiny_vae

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")))
README = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
BLOCK = r"```sh\n(curl (?:(?!```).)*)```\n\n```{kind}\n(.*?)```"
CURLS = [
    (page.name, *block)
    for page in PAGES
    for block in re.findall(
        BLOCK.format(kind="json"), page.read_text(encoding="utf-8"), re.DOTALL
    )
]
# Commands whose output is not shown.
UNSHOWN = [
    (page.name, block)
    for page in PAGES
    for block in re.findall(
        r"```sh\n(curl [^`]*)```(?!\n\n```(?:json|text))",
        page.read_text(encoding="utf-8"),
    )
]
# Programs of these pages need packages of others: tests/external runs them.
OF_OTHERS = ("your-own-model.md", "open-inference-protocol.md")
PICTURES = re.findall(BLOCK.format(kind="text"), README, re.DOTALL)
PYTHON = [
    program
    for page in PAGES
    if page.name not in OF_OTHERS
    for program in re.findall(
        r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    )
]
SECONDS = 60
# What serves the commands of a page, where it is not the released model.
OTHER_MODELS = {"analyses.md": "digits"}
OF_A_TABLE = re.compile("species|orient|text/csv|parquet")
# The fixtures of released models, whose numbers are those that are shown.
RELEASED = ("address", "penguins")
# A line that goes on in the next one, and what stands for members that are not shown.
CONTINUED = re.compile(r"\n {2,}")
MORE = "\n …}"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?(?=[,\]\s}]|$)")
LAST_DIGITS = 1e-4
COLORS = {"L": "8-bit grayscale", "RGB": "8-bit/color RGB"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the released model, as `make serve` does."""
    with process({"VAE_CHECKPOINT": str(ROOT / "released" / "mnist")}) as (address, _):
        yield address


@pytest.fixture(scope="module")
def penguins() -> Iterator[str]:
    """Serve the released model of a table with words and gaps."""
    path = ROOT / "released" / "penguins"
    with process({"VAE_CHECKPOINT": str(path)}) as (address, _):
        yield address


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a model with the shapes of the one that `make train` trains."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(8, 8), latent_dim=20))
    scores = calibrated(np.linspace(40, 50, 99))
    path = save_tiny(tmp_path_factory.mktemp("readme") / "digits", vae, scores)
    with process({"VAE_CHECKPOINT": str(path)}) as (address, _):
        yield address


def run(
    command: str, address: str, directory: Path
) -> subprocess.CompletedProcess[bytes]:
    """Run the commands of a block in a directory, with the service of these tests."""
    command = command.replace("curl ", "curl --silent --fail-with-body ")
    return subprocess.run(
        ["bash", "-ec", command.replace("http://127.0.0.1:8000", address)],
        capture_output=True,
        cwd=directory,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a model of those digits with two latent dimensions."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(8, 8), latent_dim=2))
    path = save_tiny(tmp_path_factory.mktemp("readme") / "plane", vae)
    with process({"VAE_CHECKPOINT": str(path)}) as (address, _):
        yield address


def serving(page: str, command: str) -> str:
    """Return the fixture that serves what a command of a page is for."""
    if OF_A_TABLE.search(command):
        return "penguins"
    return "plane" if "/posterior" in command else OTHER_MODELS.get(page, "address")


def leaves(value: Any, kind: Any) -> Iterator[Any]:
    """Yield the values of a kind in nested lists and objects, in their order."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner, kind)
    elif isinstance(value, kind):
        yield value


def flat(text: str) -> str:
    """Return a text with its white space evened out and its emphasis taken off."""
    return " ".join(text.replace("*", "").split())


@pytest.mark.slow("starts the service for each program")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is absent")
@pytest.mark.parametrize(("page", "command", "shown"), CURLS)
def test_each_curl_gets_the_answer_that_is_shown(
    request: pytest.FixtureRequest, page: str, command: str, shown: str, tmp_path: Path
) -> None:
    """Every curl runs, and answers with the members, and where released the numbers."""
    served = serving(page, command)

    ended = run(command, request.getfixturevalue(served), tmp_path)

    assert ended.returncode == 0, ended.stdout
    answer = json.loads(ended.stdout)
    lines = re.findall(r'^[{ ]"(\w+)":(.*)$', CONTINUED.sub("", shown), re.MULTILINE)
    members = [member for member, _ in lines]
    assert members == list(answer)[: len(members) if MORE in shown else None]
    if served in RELEASED:
        for member, text in lines:
            numbers = [float(number) for number in NUMBER.findall(text)]
            got = list(leaves(answer[member], int | float))[: len(numbers)]
            assert got == pytest.approx(numbers, rel=LAST_DIGITS, abs=LAST_DIGITS)
            words = re.findall(r':"(\w+)"', text)
            assert list(leaves(answer[member], str))[: len(words)] == words


@pytest.mark.slow("starts the service for each program")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is absent")
@pytest.mark.parametrize(("command", "shown"), PICTURES)
def test_each_picture_is_the_file_that_is_shown(
    address: str, command: str, shown: str, tmp_path: Path
) -> None:
    """Every curl that writes a picture writes the one that `file` describes."""
    ended = run(command, address, tmp_path)

    assert ended.returncode == 0, ended.stdout
    path = tmp_path / shown.partition(":")[0]
    with Image.open(path) as image:
        image.load()
        described = (
            f"{path.name}: {image.format} image data, {image.width} x {image.height}, "
            f"{COLORS[image.mode]}, non-interlaced"
        )
        assert not image.info.get("interlace")
    assert shown.strip() == described


@pytest.mark.slow("starts the service for each program")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is absent")
@pytest.mark.parametrize(("page", "commands"), UNSHOWN)
def test_commands_without_shown_output_run(
    request: pytest.FixtureRequest, page: str, commands: str, tmp_path: Path
) -> None:
    """Each is answered without an error."""
    if "parquet" in commands:
        pytest.importorskip("pyarrow")
    served = request.getfixturevalue(serving(page, commands))

    ended = run(commands, served, tmp_path)

    assert ended.returncode == 0, ended.stdout


def test_the_commands_exist() -> None:
    """Every `vae-...` that a line begins with is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    named = set(re.findall(r"^(?:[A-Z_]+=\S+ )*(vae-\w+)", README, re.MULTILINE))

    assert {"vae-serve", "vae-train"} < named
    assert named <= project["project"]["scripts"].keys()


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in found}


def test_a_picture_is_shown() -> None:
    """The README has what the test above runs."""
    assert PICTURES


def test_each_operation_has_a_curl() -> None:
    """The calls are all shown."""
    paths = {re.findall(r":8000/(\w+)", command)[-1] for _, command, _ in CURLS}

    calls = {"encode", "decode", "sample", "elbo", "interpolate", "traverse", "v2"}
    assert paths == calls | {
        "loglik",
        "gap",
        "refine",
        "posterior",
        "anomaly",
        "impute",
    }


@pytest.mark.slow("starts the service for each program")
@pytest.mark.parametrize("program", PYTHON)
def test_the_python_example_runs(
    request: pytest.FixtureRequest,
    program: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Python of README and docs runs as it is, at the root of the project."""
    monkeypatch.chdir(ROOT)
    shown = r"\[[-0-9. ]+\]\n"
    served = "address"
    if "pandas" in program:
        pytest.importorskip("pandas")
        served, shown = (
            "penguins",
            r"(?s) +species +island .*\['bill_\w+', 'bill_\w+'\]\n",
        )
    address = request.getfixturevalue(served)

    exec(program.replace("http://127.0.0.1:8000", address), {})  # the README is ours

    assert re.fullmatch(shown, capsys.readouterr().out)


def test_the_settings_are_all_in_the_table() -> None:
    """The table of settings has each variable with its default and its meaning."""
    for row in setting_rows():
        default = row.default if " " in row.default else f"`{row.default}`"

        assert f"| `{row.variable}` | {default} | {row.description} |" in README


def test_the_letters_are_explained_in_the_words_of_the_service() -> None:
    """README and `/model` say the same of theta and phi."""
    words = flat(README)

    assert THETA in words
    assert PHI in words


def test_data_and_likelihoods_are_all_named() -> None:
    """Every named data set and every likelihood stands in the README."""
    for name in (*NAMES, *LIKELIHOODS):
        assert f"`{name}`" in README


def test_the_line_of_the_access_log_is_as_it_is_written() -> None:
    """The README's line has the members of a real one, in their order."""
    [shown] = re.findall(r'^{"time":.*}$', README, re.MULTILINE)

    line = Line(0.0, "id", "GET", "/model", 200, 0.001, None, None, 0, 1).json()

    assert list(json.loads(shown)) == list(json.loads(line))


def test_no_command_writes_over_what_one_before_it_read() -> None:
    """Who types the lines of a block one after the other still has the first file."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            read: set[str] = set()
            for line in block.splitlines():
                written = re.findall(r"(?:--out|--output|-o) (\S+\.\w+)", line)
                assert read.isdisjoint(written), (page.name, line)
                read |= set(re.findall(r"[\w/.-]+\.\w+", line)) - set(written)


def test_the_make_targets_exist() -> None:
    """Every `make` command of the README is a target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    for target in re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    """Every file that a page links to is there, and so is the heading in it."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for link, heading in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", text):
            linked = page.parent / link if link else page
            assert linked.exists(), link
            assert not heading or heading in headings(linked), (page.name, heading)
