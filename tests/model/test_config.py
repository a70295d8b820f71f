"""A configuration says everything and nothing else, and nothing beyond the bounds."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from model.config import FORMAT_VERSION, Config
from model.convolution_sizes import conv_grid
from model.vae import empty

Document = dict[str, Any]
Path = tuple[str, ...]

MLP: Document = {"kind": "mlp", "hidden": [5], "activation": "tanh"}
CONV: Document = {"kind": "conv", "channels": [4], "hidden": 5, "activation": "tanh"}
PATHS: list[Path] = [
    ("format_version",),
    ("data_shape",),
    ("latent_dim",),
    ("likelihood",),
    ("likelihood", "kind"),
    ("likelihood", "sigma_floor"),
    ("encoder",),
    ("encoder", "kind"),
    ("encoder", "hidden"),
    ("encoder", "activation"),
    ("decoder",),
    ("decoder", "kind"),
    ("decoder", "channels"),
    ("decoder", "hidden"),
    ("decoder", "activation"),
    ("data",),
    ("data", "name"),
    ("data", "divided_by"),
    ("data", "divisors"),
    ("data", "divisors", "uint8"),
    ("data", "value_range"),
    ("data", "background"),
    ("data", "turned_gray"),
    ("data", "columns"),
    ("data", "binarization"),
    ("data", "standardized"),
    ("prior",),
    ("prior", "kind"),
    ("prior", "n_components"),
    ("table",),
    ("missing",),
]


@pytest.fixture
def document() -> Document:
    """Return a `config.json` with one network of each kind."""
    return {
        "format_version": FORMAT_VERSION,
        "data_shape": [4, 6],
        "latent_dim": 3,
        "likelihood": {"kind": "gaussian", "sigma_floor": 0.1},
        "encoder": dict(MLP),
        "decoder": dict(CONV),
        "data": {
            "name": "tiny",
            "divided_by": 16.0,
            "divisors": {"uint8": 16.0},
            "value_range": [0.0, 1.0],
            "background": None,
            "turned_gray": False,
            "columns": None,
            "binarization": "none",
            "standardized": True,
        },
        "prior": {"kind": "vamp", "n_components": 7},
        "table": None,
        "missing": [],
    }


def read(document: Document) -> Config:
    """Validate a document as a checkpoint's file is validated."""
    return Config.model_validate_json(json.dumps(document))


def section(document: Document, path: Path) -> Document:
    """Return the part of a document that holds the last key of a path."""
    for key in path[:-1]:
        document = document[key]
    return document


def walk(document: Document, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every key of a document."""
    for key, value in document.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from walk(value, (*path, key))


def refusal(document: Document) -> str:
    """Return why a document is refused, where first."""
    with pytest.raises(ValidationError) as refused:
        read(document)
    return "; ".join(
        f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
        for error in refused.value.errors()
    )


def test_a_configuration_survives_its_file(document: Document) -> None:
    """What is written is what is read, and every key of it is listed above."""
    config = read(document)

    written = config.model_dump_json()

    assert read(json.loads(written)) == config
    assert json.loads(written) == document
    assert list(walk(document)) == PATHS


def test_a_configuration_cannot_be_changed(document: Document) -> None:
    """Neither it nor a part of it can be assigned to."""
    config = read(document)

    for part, key in ((config, "latent_dim"), (config.data, "standardized")):
        with pytest.raises(ValidationError, match="Instance is frozen"):
            setattr(part, key, getattr(part, key))


# What older files lack.
NEWER: list[Path] = [
    ("prior",),
    ("data", "divisors"),
    ("data", "divisors", "uint8"),
    ("data", "value_range"),
    ("data", "background"),
    ("data", "turned_gray"),
    ("data", "columns"),
    ("table",),
    ("missing",),
]


@pytest.mark.parametrize("path", [p for p in PATHS if p not in NEWER], ids=".".join)
def test_nothing_has_a_default_but_what_older_files_lack(
    document: Document, path: Path
) -> None:
    """Without any one of its keys a configuration is refused."""
    del section(document, path)[path[-1]]

    reason = refusal(document)

    assert path[-1] in reason
    # The second is said of a missing `kind`, which decides what the rest may be.
    assert "Field required" in reason or "Unable to extract tag" in reason


def test_units_of_columns_are_written_only_where_there_are_some(
    document: Document,
) -> None:
    """Without any, the file is what it was before there were units."""
    document["data_shape"] = [3]
    document["decoder"] = dict(MLP)
    with_units = {**document["data"], "column_units": ["kg", None, "%"]}

    config = read({**document, "data": with_units})
    plain = read({**document, "data": {**with_units, "column_units": None}})

    assert config.data.column_units == ("kg", None, "%")
    assert config.data.unit_words == {0: "column 1 in kg", 2: "column 3 in %"}
    assert json.loads(config.model_dump_json())["data"] == with_units
    assert "column_units" not in plain.model_dump_json()
    assert read(document) == plain


@pytest.mark.parametrize(
    ("units", "reason"),
    [
        (["kg"], "column_units has 1 values, but data_shape is (3,)"),
        ([None] * 3, "column_units must have a unit, or be null"),
        (["kg", "", None], "at least 1 character"),
    ],
)
def test_units_are_those_of_the_columns(
    document: Document, units: list[str | None], reason: str
) -> None:
    """One for each value of a row, and at least one."""
    document["data_shape"] = [3]
    document["decoder"] = dict(MLP)
    document["data"]["column_units"] = units

    assert reason in refusal(document)


def test_older_configurations_have_a_standard_normal_prior(document: Document) -> None:
    """They do not name one."""
    del document["prior"]

    assert read(document).prior.kind == "standard_normal"
    assert read(document).n_components == 1


@pytest.mark.parametrize(
    ("divided_by", "divisors", "value_range"),
    [
        (1.0, {}, None),
        (255.0, {"uint8": 255.0, "uint16": 65_535.0}, (0.0, 1.0)),
        (16.0, {"uint8": 16.0}, (0.0, 1.0)),
    ],
)
def test_older_configurations_say_how_raw_values_became_x_by_their_divisor(
    document: Document,
    divided_by: float,
    divisors: dict[str, float],
    value_range: tuple[float, float] | None,
) -> None:
    """Version 1 divided bytes alone, and what was divided lay in [0, 1]."""
    document["format_version"] = 1
    document["data"] = {
        "name": "tiny",
        "divided_by": divided_by,
        "binarization": "none",
        "standardized": True,
    }

    data = read(document).data

    assert data.divisors == divisors
    assert data.value_range == value_range
    assert data.columns is None
    assert data.background is None
    assert data.turned_gray is False


def test_columns_name_the_values_of_a_row(document: Document) -> None:
    """There is one distinct name for each value, and pictures have none."""
    document |= {"data_shape": [2], "decoder": dict(MLP)}
    document["data"]["columns"] = ["height", "weight"]
    assert read(document).data.columns == ("height", "weight")

    for shape, columns, reason in (
        ([2], ["height"], "columns has 1 names, but data_shape is (2,)"),
        ([1, 2], ["height", "weight"], "columns has 2 names, but data_shape is (1, 2)"),
        ([2], ["height", "height"], "columns must be distinct names"),
        ([2], [], "columns: Tuple should have at least 1 item"),
    ):
        document["data_shape"], document["data"]["columns"] = shape, columns
        assert reason in refusal(document)


def test_a_range_of_values_is_ascending(document: Document) -> None:
    """Its smallest value is below the largest."""
    document["data"]["value_range"] = [1.0, 1.0]

    assert "value_range must ascend, got [1.0, 1.0]" in refusal(document)


def test_a_prior_of_too_many_parameters_is_refused(document: Document) -> None:
    """4,096 pseudo-inputs of 2^19 values each are 2^31."""
    document["data_shape"] = [512, 1024]
    document["encoder"] = document["decoder"] = MLP | {"hidden": []}
    document["latent_dim"] = 1
    document["prior"] = {"kind": "vamp", "n_components": 4096}

    reason = refusal(document)

    assert "4096 components could have 2147483648 parameters" in reason


@pytest.mark.parametrize(
    "name", ["", "likelihood", "encoder", "decoder", "data", "prior"]
)
def test_an_unknown_key_is_refused(document: Document, name: str) -> None:
    """An extra key anywhere is an error that names it."""
    (document[name] if name else document)["beta"] = 1

    reason = refusal(document)

    assert "beta: Extra inputs are not permitted" in reason


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format_version",), 0),
        (("format_version",), 3),
        (("format_version",), "1"),
        (("data_shape",), []),
        (("data_shape",), [0]),
        (("data_shape",), [-4, 6]),
        (("data_shape",), ["4", 6]),
        (("data_shape",), [4.5, 6]),
        (("data_shape",), [4, 6, 1, 1]),
        (("data_shape",), [65_537]),
        (("data_shape",), "46"),
        (("latent_dim",), 0),
        (("latent_dim",), -1),
        (("latent_dim",), 65_537),
        (("latent_dim",), "3"),
        (("latent_dim",), True),
        (("latent_dim",), 3.0),
        (("latent_dim",), None),
        (("likelihood", "kind"), "poisson"),
        (("likelihood", "sigma_floor"), 0),
        (("likelihood", "sigma_floor"), -0.1),
        (("likelihood", "sigma_floor"), 1001),
        (("likelihood", "sigma_floor"), "0.1"),
        (("likelihood", "sigma_floor"), float("nan")),
        (("encoder", "kind"), "transformer"),
        (("encoder", "hidden"), [0]),
        (("encoder", "hidden"), [65_537]),
        (("encoder", "hidden"), [1] * 33),
        (("encoder", "hidden"), 5),
        (("encoder", "activation"), "sine"),
        (("decoder", "channels"), []),
        (("decoder", "channels"), [0]),
        (("decoder", "channels"), [1] * 11),
        (("decoder", "hidden"), [5]),
        (("data", "name"), ""),
        (("data", "name"), "x" * 201),
        (("data", "divided_by"), 0),
        (("data", "divided_by"), float("inf")),
        (("data", "divided_by"), "255"),
        (("data", "divisors"), {"float32": 2.0}),
        (("data", "divisors"), {"uint8": 0.0}),
        (("data", "divisors"), ["uint8"]),
        (("data", "value_range"), [0.0]),
        (("data", "value_range"), [0.0, "1"]),
        (("data", "background"), 1.5),
        (("data", "turned_gray"), None),
        (("data", "columns"), "ab"),
        (("data", "columns"), [1]),
        (("data", "binarization"), "sometimes"),
        (("data", "standardized"), 1),
        (("data", "standardized"), "true"),
        (("prior", "kind"), "flow"),
        (("prior", "n_components"), 0),
        (("prior", "n_components"), 4097),
        (("prior", "n_components"), 2.0),
    ],
    ids=str,
)
def test_a_value_of_another_type_or_size_is_refused(
    document: Document, path: Path, value: object
) -> None:
    """Strings and booleans are no numbers, and every number has its bounds."""
    section(document, path)[path[-1]] = value

    reason = refusal(document)

    assert path[-1] in reason


def test_the_greatest_values_are_allowed(document: Document) -> None:
    """Bounds are inclusive."""
    document["data_shape"] = [65_536]
    document["latent_dim"] = 65_536
    document["likelihood"]["sigma_floor"] = 1000
    document["encoder"] = MLP | {"hidden": [1] * 32}
    document["decoder"] = MLP | {"hidden": [1] * 32}

    config = read(document)

    assert (config.data_dim, config.latent_dim) == (65_536, 65_536)


@pytest.mark.parametrize(
    ("kind", "sigma_floor"),
    [("gaussian", None), ("bernoulli", 0.1), ("continuous_bernoulli", 0.1)],
)
def test_a_floor_belongs_to_a_gaussian_alone(
    document: Document, kind: str, sigma_floor: float | None
) -> None:
    """A Gaussian without a floor and another likelihood with one are refused."""
    document["likelihood"] = {"kind": kind, "sigma_floor": sigma_floor}

    reason = refusal(document)

    assert f"got {sigma_floor} for {kind}" in reason


@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize(
    ("data_shape", "network", "reason"),
    [
        ([24], CONV, r"needs image data of shape (H, W) or (H, W, C), got (24,)"),
        ([4, 1], CONV, "an image of 4x1 cannot be halved 1 times"),
        ([1, 6], CONV, "an image of 1x6 cannot be halved 1 times"),
        ([7, 9], CONV | {"channels": [1] * 3}, "7x9 cannot be halved 3 times"),
    ],
)
def test_a_conv_network_needs_an_image_it_can_halve(
    document: Document,
    side: str,
    data_shape: list[int],
    network: Document,
    reason: str,
) -> None:
    """Tables and images that are too small are refused on either side."""
    document |= {"data_shape": data_shape, "encoder": MLP, "decoder": MLP}
    document[side] = network

    assert reason in refusal(document)


@pytest.mark.parametrize(
    ("data_shape", "n_halvings", "grid"),
    [((4, 6), 1, (2, 3)), ((28, 28, 3), 2, (7, 7)), ((7, 9), 2, (1, 2))],
)
def test_halving_rounds_down(
    data_shape: tuple[int, ...], n_halvings: int, grid: tuple[int, int]
) -> None:
    """An odd height or width loses its last row or column."""
    assert conv_grid(data_shape, n_halvings) == grid


@pytest.mark.parametrize(
    ("side", "network"),
    [
        ("encoder", MLP | {"hidden": [1024, 1]}),
        ("decoder", MLP | {"hidden": [1, 1024]}),
        ("encoder", MLP | {"hidden": [65_536, 65_536]}),
        ("encoder", CONV | {"channels": [65_536, 65_536, 1]}),
        ("decoder", CONV | {"channels": [256], "hidden": 8}),
    ],
)
def test_more_weights_than_memory_are_refused(
    document: Document, side: str, network: Document
) -> None:
    """A network of more than 2^30 weights is an error, wherever its weights are."""
    document |= {"data_shape": [2048, 2048], "encoder": MLP, "decoder": MLP}
    read(document)
    document[side] = network

    reason = refusal(document)

    assert f"the {network['kind']} {side} could have" in reason
    assert "more than 1073741824" in reason


def test_more_values_than_memory_are_refused(document: Document) -> None:
    """An example of more than 2^22 values is an error."""
    document |= {"data_shape": [2048, 2049], "encoder": MLP, "decoder": MLP}

    assert "4196352 values, more than 4194304" in refusal(document)


@pytest.mark.parametrize("data_shape", [[9, 7], [9, 7, 3]])
@pytest.mark.parametrize("kind", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize("network", [MLP, CONV, CONV | {"channels": [2, 6]}])
def test_the_bound_on_weights_counts_all_of_them(
    document: Document,
    monkeypatch: pytest.MonkeyPatch,
    data_shape: list[int],
    kind: str,
    side: str,
    network: Document,
) -> None:
    """No network has more weights than the number it is refused by."""
    narrow = MLP | {"hidden": [1]}
    sigma_floor = 0.1 if kind == "gaussian" else None
    document |= {
        "data_shape": data_shape,
        "likelihood": {"kind": kind, "sigma_floor": sigma_floor},
        "encoder": narrow,
        "decoder": narrow,
        side: network,
    }
    n_weights = sum(
        weight.numel()
        for name, weight in empty(read(document)).get_submodule(side).named_parameters()
        if name.endswith(".weight")
    )
    monkeypatch.setattr("model.config.MAX_PARAMETERS", n_weights - 1)

    reason = refusal(document)

    assert f"{side} could have" in reason
