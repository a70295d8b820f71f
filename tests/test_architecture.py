"""The rules that keep the parts apart, and code readable, read from the source."""

import ast
import sys
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("app", "client/vae_client", "model")
SOURCES = sorted(path for part in PARTS for path in ROOT.glob(f"{part}/**/*.py"))
APP = [path for path in SOURCES if path.is_relative_to(ROOT / "app")]
CLIENT = [path for path in SOURCES if path.is_relative_to(ROOT / "client/vae_client")]
MODEL = [path for path in SOURCES if path.is_relative_to(ROOT / "model")]

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40

TRAINING = ("model.train", "model.data")


def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a source file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(path: Path) -> Iterator[str]:
    """Yield the name of every module, and every name from a module, imported."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def types_of(path: Path) -> Iterator[str]:
    """Yield the name of every class and type alias that a module defines."""
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
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


@pytest.mark.parametrize("path", MODEL, ids=name_of)
def test_the_model_knows_nothing_of_http(path: Path) -> None:
    """model/ imports neither the service nor a web framework."""
    web = ("app", "fastapi", "starlette", "uvicorn", "httpx", "prometheus_client")

    assert [name for name in imported(path) if is_in(name, *web)] == []


@pytest.mark.parametrize("path", CLIENT, ids=name_of)
def test_the_client_stands_alone(path: Path) -> None:
    """It imports httpx or httpx2, numpy, safetensors and the standard library only."""
    others = ("httpx", "httpx2", "numpy", "safetensors", "vae_client")
    allowed = (*sys.stdlib_module_names, *others)

    assert [name for name in imported(path) if not is_in(name, *allowed)] == []


@pytest.mark.parametrize("path", [*APP, *MODEL], ids=name_of)
def test_nothing_served_imports_the_client(path: Path) -> None:
    """The service does not need its own client."""
    assert [
        name for name in imported(path) if is_in(name, "client", "vae_client")
    ] == []


def test_no_class_of_the_client_has_the_name_of_another() -> None:
    """A name means one thing in app/, model/ and the client, aliases of types too."""
    ours = {name for path in CLIENT for name in types_of(path)}
    others = {name for path in (*APP, *MODEL) for name in types_of(path)}

    assert "Client" in ours
    assert ours & others == set()


@pytest.mark.parametrize("path", APP, ids=name_of)
def test_the_service_knows_nothing_of_training(path: Path) -> None:
    """app/ imports no training, no data sets, and nothing that unpickles."""
    found = [name for name in imported(path) if is_in(name, *TRAINING)]
    found += [name for name in imported(path) if name.startswith("model.train")]

    assert found == []


@pytest.mark.parametrize("path", APP, ids=name_of)
def test_the_service_does_not_import_torch(path: Path) -> None:
    """app/ works on numpy arrays; torch stays behind model.engine."""
    assert [name for name in imported(path) if is_in(name, "torch")] == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_onnx_runtime_is_imported_with_its_telemetry_off(path: Path) -> None:
    """One module imports it, after the variable that keeps it silent is set."""
    if name_of(path) != "model/engine/runtime.py":
        assert [n for n in imported(path) if is_in(n, "onnxruntime")] == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_spans_are_of_opentelemetry(path: Path) -> None:
    """It is an extra: one module needs it, and one, when it is asked for, that one."""
    of_spans = [
        name for name in imported(path) if is_in(name, "app.observability.spans")
    ]

    if name_of(path) != "app/observability/spans.py":
        assert [n for n in imported(path) if is_in(n, "opentelemetry")] == []
    assert not of_spans or name_of(path) == "app/observability/tracing.py"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_imports_the_composition_root(path: Path) -> None:
    """app.main is named on command lines only."""
    assert [name for name in imported(path) if is_in(name, "app.main")] == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_are_absolute(path: Path) -> None:
    """No import starts with a dot."""
    relative = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]

    assert relative == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_evaluates_what_it_reads(path: Path) -> None:
    """No pickle, no eval, no torch.load, no yaml.load; np.load never with pickles."""
    pickles = (
        "pickle",
        "cPickle",
        "dill",
        "cloudpickle",
        "joblib",
        "shelve",
        "marshal",
    )
    found = [name for name in imported(path) if is_in(name, *pickles)]

    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("eval", "exec", "torch.load", "yaml.load", "torch.jit.load"):
                found.append(called)
            if any(
                keyword.arg == "allow_pickle"
                and not (
                    isinstance(keyword.value, ast.Constant)
                    and keyword.value.value is False
                )
                for keyword in node.keywords
            ):
                found.append(f"{called} with pickles")

    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_modules_and_functions_are_short(path: Path) -> None:
    """No module is above 300 lines and no function above 40."""
    functions = [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    too_long = [node.name for node in functions if length(node) > MAX_FUNCTION_LINES]

    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES
    assert too_long == []


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
    """Return a package or module directly below model/; `model` itself is all."""
    return ".".join(module.split(".")[:2])


def test_packages_of_the_model_depend_on_each_other_one_way() -> None:
    """No two packages below model/ import each other, not even around a corner."""
    assert cycle(MODEL, package_of) == []


def test_modules_of_the_model_depend_on_each_other_one_way() -> None:
    """No module below model/ imports itself around a corner."""
    assert cycle(MODEL, lambda module: module) == []


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
    pairs = (("model/train", "model.evaluate"), ("model/evaluate", "model.train"))
    found = [
        (name_of(path), name)
        for folder, other in pairs
        for path in MODEL
        if path.is_relative_to(ROOT / folder)
        for name in imported(path)
        if is_in(name, other)
    ]

    assert found == []
