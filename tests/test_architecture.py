"""The rules that keep the parts apart, and code readable, read from the source."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from app.call_parts.call import Call
from app.calls.table import CALLS

ROOT = Path(__file__).parent.parent
PARTS = ("app", "client/vae_client", "model")
SOURCES = sorted(path for part in PARTS for path in ROOT.glob(f"{part}/**/*.py"))
APP = [path for path in SOURCES if path.is_relative_to(ROOT / "app")]
CLIENT = [path for path in SOURCES if path.is_relative_to(ROOT / "client/vae_client")]
MODEL = [path for path in SOURCES if path.is_relative_to(ROOT / "model")]

MAX_MODULE_LINES = 300
# The longer ones, and the one subject of each.
LONG_MODULES = {
    "app/compute/batcher.py": "the micro-batcher: its jobs, its queues and its turns",
    "app/connection/protocol.py": "one connection: what it reads, begins and refuses",
    "app/http/reader.py": "a request: its array in each format, and its options",
    "model/engine/engine.py": "the operations on rows, in the tiling proved for each",
}
MAX_FUNCTION_LINES = 40
MAX_MODULES_OF_APP = 8  # on its own level

WEB = ("app", "fastapi", "starlette", "uvicorn", "httpx", "prometheus_client")
TRAINING = ("model.train", "model.data", "model.adopt")
PICKLES = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
EVALUATES = ("eval", "exec", "torch.load", "yaml.load", "torch.jit.load")
SPANS = "app/observability/spans.py"
SLOW_WITH_REASON = re.compile(r'pytest\.mark\.slow\(\s*"[^"\\]+",?\s*\)')


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of the syntax tree of a source file."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return tuple(ast.walk(tree))


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Return the name of every module, and every name from a module, imported."""
    names: list[str] = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(names)


def body(path: Path) -> list[ast.stmt]:
    """Return the statements of a module."""
    module = nodes(path)[0]
    assert isinstance(module, ast.Module)
    return module.body


def classes_of(path: Path) -> list[str]:
    """Return the name of every class that a module defines."""
    return [node.name for node in body(path) if isinstance(node, ast.ClassDef)]


def types_of(path: Path) -> Iterator[str]:
    """Yield the name of every class and type alias that a module defines."""
    yield from classes_of(path)
    for node in body(path):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if len(name) > 1 and name[0].isupper() and not name.isupper():
                yield name


def is_in(name: str, *packages: str) -> bool:
    """Say whether a dotted name is one of the packages or inside one."""
    return any(
        name == package or name.startswith(package + ".") for package in packages
    )


def name_of(path: Path) -> str:
    """Return a path as the rules write it."""
    return path.relative_to(ROOT).as_posix()


def importing(paths: Iterable[Path], *packages: str) -> list[str]:
    """Return which of the files import something of these packages, and what."""
    return [
        f"{name_of(path)} imports {name}"
        for path in paths
        for name in imported(path)
        if is_in(name, *packages)
    ]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function has, not counting its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def test_there_are_sources_to_check() -> None:
    """The rules below are about something."""
    assert ROOT / "app" / "main.py" in APP
    assert ROOT / "client" / "vae_client" / "plans.py" in CLIENT
    assert ROOT / "model" / "vae.py" in MODEL


def test_the_model_knows_nothing_of_http() -> None:
    """model/ imports neither the service nor a web framework."""
    assert importing(MODEL, *WEB) == []


def test_the_client_stands_alone() -> None:
    """It imports httpx or httpx2, numpy, safetensors and the standard library only."""
    others = ("httpx", "httpx2", "numpy", "safetensors", "vae_client")
    allowed = (*sys.stdlib_module_names, *others)

    assert [
        f"{name_of(path)} imports {name}"
        for path in CLIENT
        for name in imported(path)
        if not is_in(name, *allowed)
    ] == []


def test_nothing_served_imports_the_client() -> None:
    """The service does not need its own client."""
    assert importing([*APP, *MODEL], "client", "vae_client") == []


def test_no_class_of_the_client_has_the_name_of_another() -> None:
    """A name means one thing in app/, model/ and the client, aliases of types too."""
    ours = {name for path in CLIENT for name in types_of(path)}
    others = {name for path in (*APP, *MODEL) for name in types_of(path)}

    assert "Client" in ours
    assert ours & others == set()


def test_no_class_of_the_service_has_the_name_of_another() -> None:
    """A name of a class means one thing in app/."""
    times = Counter(name for path in APP for name in classes_of(path))

    assert times["Settings"] == 1
    assert [name for name, n in times.items() if n > 1] == []


def test_the_service_knows_nothing_of_training() -> None:
    """app/ imports no training, no data sets, and nothing that unpickles."""
    assert importing(APP, *TRAINING) == []


def test_the_service_does_not_import_torch() -> None:
    """app/ works on numpy arrays; torch stays behind model.engine."""
    assert importing(APP, "torch") == []


def test_onnx_runtime_is_imported_with_its_telemetry_off() -> None:
    """One module imports it, after the variable that keeps it silent is set."""
    others = [path for path in SOURCES if name_of(path) != "model/engine/runtime.py"]

    assert importing(others, "onnxruntime") == []


def test_only_spans_are_of_opentelemetry() -> None:
    """It is an extra: one module needs it, and one, when it is asked for, that one."""
    tracing = "app/observability/tracing.py"
    others = [path for path in SOURCES if name_of(path) != SPANS]
    without = [path for path in others if name_of(path) != tracing]

    assert importing(others, "opentelemetry") == []
    assert importing(without, "app.observability.spans") == []


def test_nothing_imports_the_composition_root() -> None:
    """app.main is named on command lines only."""
    assert importing(SOURCES, "app.main") == []


def test_imports_are_absolute() -> None:
    """No import starts with a dot."""
    assert [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ] == []


def test_nothing_evaluates_what_it_reads() -> None:
    """No pickle, no eval, no torch.load, no yaml.load; np.load never with pickles."""
    found = importing(SOURCES, *PICKLES)
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in EVALUATES or any(map(may_unpickle, node.keywords)):
                    found.append(f"{name_of(path)}:{node.lineno} calls {called}")

    assert found == []


def may_unpickle(keyword: ast.keyword) -> bool:
    """Say whether an argument is `allow_pickle` and anything but False."""
    value = keyword.value
    is_false = isinstance(value, ast.Constant) and value.value is False
    return keyword.arg == "allow_pickle" and not is_false


def test_modules_are_short() -> None:
    """Only modules that have one subject, which is named, are above 300 lines."""
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCES
    }

    assert {name for name, n in lengths.items() if n > MAX_MODULE_LINES} == set(
        LONG_MODULES
    )


def test_functions_are_short() -> None:
    """No function is above 40 lines, its docstring not counted."""
    assert [
        f"{name_of(path)}: {node.name} has {length(node)}"
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if length(node) > MAX_FUNCTION_LINES
    ] == []


def module_of(path: Path) -> str:
    """Return the dotted name of a source file."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def cycle(paths: list[Path], unit_of: Callable[[str], str]) -> list[str]:
    """
    Return units that depend on each other in a circle, or nothing.

    Args:
        unit_of: The unit that a module belongs to.
    """
    names = {module_of(path) for path in paths}
    graph: dict[str, set[str]] = {}
    for path in paths:
        module = module_of(path)
        here = unit_of(module)
        found = {
            unit_of(name)
            for name in names.intersection(imported(path))
            if not module.startswith(name + ".")  # every module needs its packages
        }
        graph.setdefault(here, set()).update(found - {here})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        units: list[str] = error.args[1]
        return units
    return []


def package_of(module: str) -> str:
    """Return a package or module directly below a part; the part itself is all."""
    return ".".join(module.split(".")[:2])


def test_packages_depend_on_each_other_one_way() -> None:
    """No two packages of a part import each other, not even around a corner."""
    assert cycle([*APP, *MODEL], package_of) == []


def test_modules_depend_on_each_other_one_way() -> None:
    """No module imports itself around a corner, not counting the extra for spans."""
    always = [path for path in (*APP, *MODEL) if name_of(path) != SPANS]

    assert cycle(always, lambda module: module) == []


def test_a_cycle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the two rules above would say nothing."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "model").mkdir()
    for name, other in (("one", "two"), ("two", "three"), ("three", "one")):
        (tmp_path / "model" / name).mkdir()
        (tmp_path / "model" / name / "it.py").write_text(f"import model.{other}.it\n")
    paths = sorted(tmp_path.glob("**/*.py"))

    assert set(cycle(paths, package_of)) == {"model.one", "model.two", "model.three"}


def test_training_and_evaluation_do_not_know_each_other() -> None:
    """What both need stands below them."""
    training = [path for path in MODEL if "train" in path.parts]
    evaluation = [path for path in MODEL if "evaluate" in path.parts]

    assert training
    assert evaluation
    assert importing(training, "model.evaluate") == []
    assert importing(evaluation, "model.train") == []


def test_the_service_has_few_modules_on_its_own_level() -> None:
    """What belongs together stands in a package."""
    own = {path.stem for path in APP if path.parent == ROOT / "app"}

    assert len(own - {"__init__", "__main__"}) <= MAX_MODULES_OF_APP, own


def test_every_call_is_in_the_file_that_its_path_names() -> None:
    """`/encode` is in app/calls/encode.py."""
    assert [
        call.id
        for call in CALLS
        if call not in calls_in(Path(call.path.removeprefix("/")).stem)
    ] == []


def test_every_file_of_calls_is_in_the_table() -> None:
    """A file in app/calls/ defines a call, and the service answers it."""
    files = {path.stem for path in APP if path.parent == ROOT / "app" / "calls"}
    calls = {name: calls_in(name) for name in files - {"__init__", "table"}}

    assert "encode" in calls
    assert [
        n for n, its in calls.items() if not its or not set(its) <= set(CALLS)
    ] == []


def calls_in(name: str) -> list[Call]:
    """Return the calls that a module of app/calls/ has."""
    module = import_module(f"app.calls.{name}")
    return [value for value in vars(module).values() if isinstance(value, Call)]


def test_the_page_of_the_architecture_names_files_that_exist() -> None:
    """Every path in backticks or in the picture, from the root, app/ or model/."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    prose = re.findall(r"`([\w.-]+(?:/[\w.-]*)+|\w+\.py)`", page)
    picture = page.partition("```mermaid")[2].partition("```")[0]
    named = {*prose, *re.findall(r"(?<![</\w])\w+(?:/\w+)*(?:/(?!\w)|\.py)", picture)}

    assert {"app/middleware/pipeline.py", "connection/", "access.py"} <= named
    assert [name for name in sorted(named) if not exists(name)] == []


def exists(name: str) -> bool:
    """Say whether there is such a path, or for a bare name such a source file."""
    if "/" not in name:
        return any(path.name == name for path in SOURCES)
    return any(
        (folder / name).exists() for folder in (ROOT, ROOT / "app", ROOT / "model")
    )


def test_what_is_slow_says_why() -> None:
    """`pytest.mark.slow` has a reason, which is one sentence of words."""
    bare: list[str] = []
    for path in sorted((ROOT / "tests").glob("**/*.py")):
        text = path.read_text(encoding="utf-8")
        if text.count("mark.slow") == len(SLOW_WITH_REASON.findall(text)):
            continue  # so that few files are parsed
        calls = [node for node in nodes(path) if isinstance(node, ast.Call)]
        said = {id(call.func) for call in calls if len(call.args) == 1}
        bare += [
            f"{name_of(path)}:{node.lineno}"
            for node in nodes(path)
            if isinstance(node, ast.Attribute)
            if node.attr == "slow" and id(node) not in said
            if ast.unparse(node) == "pytest.mark.slow"
        ]

    assert bare == []


def test_tests_mirror_the_sources() -> None:
    """A folder with tests of app/, model/ or the client has the name of a source's."""
    folders = {path.parent for path in (ROOT / "tests").glob("*/**/test_*.py")}
    sources = {path.parent.relative_to(ROOT) for path in SOURCES}
    mirrored = {folder.relative_to(ROOT / "tests") for folder in folders}
    others = {Path("benchmarks"), Path("external"), Path("client")}

    assert Path("app/calls") in mirrored
    assert mirrored - sources - others == set()
