"""`python -m model.bulk`: the bits of the service, from files."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file

from model.bulk.command import main
from model.noise import BLOCK_ROWS
from tests.app.served import Served
from tests.model.bulk.commands import written
from tests.model.bulk.service import Arrays, answered, assert_same_bits
from tests.model.remote.stores import remove, upload
from tests.tiny import save_table, save_tiny, tiny_config, tiny_vae

N = 5000  # rows, of more than two blocks
DRAW = np.random.default_rng(4)
SHARDS = ("0:1", "1:2049", "2049:4100", "4100:")
CONV = pytest.param("conv", marks=pytest.mark.slow("convolves thousands of rows"))


@pytest.fixture(scope="module", params=["bernoulli", "gaussian", CONV])
def served(request: pytest.FixtureRequest, checkpoints: Path) -> Iterator[Served]:
    """Serve each kind of model."""
    with Served(checkpoints / request.param, max_rows=2 * BLOCK_ROWS) as served:
        yield served


@pytest.fixture
def path(served: Served) -> Path:
    """Return the checkpoint that is served."""
    return served.settings.checkpoint_directory


@pytest.fixture
def x(served: Served) -> NDArray[Any]:
    """Return rows that the model accepts, in its data's shape."""
    shape = (N, *served.checkpoint.config.data_shape)
    if served.checkpoint.config.likelihood.kind == "gaussian":
        return DRAW.normal(size=shape)
    return DRAW.integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, values: NDArray[Any]) -> Path:
    """Write an array, and return its path."""
    np.save(path, values)
    return path


def joined(parts: list[Arrays]) -> Arrays:
    """Return the rows of all parts."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_codes_are_those_of_the_service(
    served: Served, path: Path, x: NDArray[Any], tmp_path: Path
) -> None:
    """To the bit, in whole and in shards, whatever the number of threads."""
    file = saved(tmp_path / "x.npy", x)

    whole = written(tmp_path / "all.safetensors", "encode", path, file, "--threads", 3)
    parts = [
        written(tmp_path / "part.safetensors", "encode", path, file, "--rows", rows)
        for rows in SHARDS
    ]

    assert_same_bits(whole, answered(served, "/encode", x=x))
    assert_same_bits(joined(parts), whole)


@pytest.mark.slow("computes 2,100 rows one at a time")
def test_torch_has_the_bits_of_a_service_with_torch(
    checkpoints: Path, tmp_path: Path
) -> None:
    """Several threads compute at the same time, each on one core."""
    x = DRAW.normal(size=(2100, 5))
    path, file = checkpoints / "gaussian", saved(tmp_path / "x.npy", x)
    words = (path, file, "--backend", "torch", "--threads", 3)

    codes = written(tmp_path / "c.safetensors", "encode", *words)
    scores = written(tmp_path / "s.safetensors", "score", *words, "--n-samples", 2)

    with Served(path, backend="torch", max_rows=N) as served:
        assert_same_bits(codes, answered(served, "/encode", x=x))
        url = "/elbo?n_samples=2&seed=0"
        assert_same_bits(scores, answered(served, url, x=x))


def test_decoded_latents_are_those_of_the_service(
    served: Served, path: Path, tmp_path: Path
) -> None:
    """In the data's shape and units."""
    latent_dim = served.checkpoint.config.latent_dim
    z = DRAW.standard_normal((N, latent_dim), dtype=np.float32)
    file = saved(tmp_path / "z.npy", z)

    whole = written(tmp_path / "all.safetensors", "decode", path, file)
    parts = [
        written(tmp_path / "part.safetensors", "decode", path, file, "--rows", f"{i}/3")
        for i in range(3)
    ]

    assert_same_bits(whole, answered(served, "/decode", z=z))
    assert_same_bits(joined(parts), whole)


@pytest.mark.parametrize("draw", ["mean", "sample"])
def test_samples_are_those_of_the_service(
    served: Served, path: Path, tmp_path: Path, draw: str
) -> None:
    """Across a restart of the noise, in shards, and from any first row on."""
    n, first = BLOCK_ROWS + 900, 77
    common = ("sample", path, "--draw", draw, "--seed", 9, "--temperature", 0.5)
    url = f"/sample?seed=9&temperature=0.5&draw={draw}"

    whole = written(tmp_path / "all.safetensors", *common, "--n", n)
    later = written(
        tmp_path / "later.safetensors", *common, "--n", 40, "--first", first
    )
    cuts = (f":{BLOCK_ROWS - 3}", f"{BLOCK_ROWS - 3}:")
    parts = [
        written(tmp_path / "part.safetensors", *common, "--n", n, "--rows", rows)
        for rows in cuts
    ]

    assert_same_bits(whole, answered(served, f"{url}&n={n}"))
    assert_same_bits(joined(parts), whole)
    assert_same_bits(later, {k: v[first : first + 40] for k, v in whole.items()})


@pytest.mark.parametrize(
    "n_samples", [1, 3, pytest.param(130, marks=pytest.mark.slow("draws many"))]
)
def test_scores_are_those_of_the_service(
    served: Served, path: Path, x: NDArray[Any], tmp_path: Path, n_samples: int
) -> None:
    """The ELBO with all its terms, of binarized rows where the model needs them."""
    x = x[:2100] if n_samples < 130 else x[:300]
    file = saved(tmp_path / "x.npy", x)
    common = ["score", path, file, "--n-samples", n_samples, "--seed", 3]
    url = f"/elbo?n_samples={n_samples}&seed=3"
    if served.checkpoint.config.likelihood.kind == "bernoulli":
        common += ["--binarize", "sample"]
        url += "&binarize=sample"

    whole = written(tmp_path / "all.safetensors", *common)
    parts = [
        written(tmp_path / "part.safetensors", *common, "--rows", rows)
        for rows in (":5", f"5:{len(x) - 50}", f"{len(x) - 50}:")
    ]
    later = written(tmp_path / "l.safetensors", *common, "--rows", ":9", "--first", 50)

    assert_same_bits(whole, answered(served, url, x=x))
    assert_same_bits(joined(parts), whole)
    assert_same_bits(later, answered(served, f"{url}&first=50", x=x[:9]))


def test_a_npy_file_has_one_array(served: Served, path: Path, tmp_path: Path) -> None:
    """The first one, or the one of --array; --dtype is the type of its numbers."""
    shape = (300, *served.checkpoint.config.data_shape)
    file = saved(tmp_path / "x.npy", np.full(shape, 0.5, np.float32))
    encode = ("encode", str(path), str(file))
    want = written(tmp_path / "all.safetensors", *encode)

    for out, words in (
        ("mu.npy", ()),
        ("log_var.npy", ("--array", "log_var")),
        ("half.npy", ("--dtype", "float16")),
    ):
        assert main([*encode, "--out", str(tmp_path / out), *words]) == 0

    mu, half = np.load(tmp_path / "mu.npy"), np.load(tmp_path / "half.npy")
    assert mu.tobytes() == want["mu"].tobytes()
    assert mu.shape == want["mu"].shape
    log_var = np.load(tmp_path / "log_var.npy")
    assert log_var.tobytes() == want["log_var"].tobytes()
    assert half.dtype == np.float16
    assert half.tobytes() == want["mu"].astype(np.float16).tobytes()


@pytest.fixture(scope="module")
def gray(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a continuous Bernoulli of gray pictures."""
    config = tiny_config("continuous_bernoulli", data_shape=(4, 4))
    return save_tiny(tmp_path_factory.mktemp("gray") / "model", tiny_vae(config))


def test_every_kind_of_file_is_read(gray: Path, tmp_path: Path) -> None:
    """Pictures, .npz, Fortran order and wide floats mean what the same .npy means."""
    pixels = DRAW.integers(0, 256, (7, 4, 4), dtype=np.uint8)
    wanted = written(
        tmp_path / "o.safetensors", "encode", gray, saved(tmp_path / "x.npy", pixels)
    )
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, values in enumerate(pixels):
        Image.fromarray(values).save(folder / f"{i}.png")
    np.savez(tmp_path / "x.npz", x=pixels)
    saved(tmp_path / "fortran.npy", np.asfortranarray(pixels))
    saved(tmp_path / "float64.npy", pixels / 255)

    for name in ("pictures", "x.npz", "fortran.npy", "float64.npy"):
        found = written(
            tmp_path / "o.safetensors", "encode", gray, tmp_path / name, "--rows", "1:"
        )

        np.testing.assert_array_equal(found["mu"], wanted["mu"][1:], err_msg=name)


def test_the_checkpoint_may_be_behind_a_url(
    gray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is copied and verified first; the codes are those of the directory."""
    monkeypatch.setenv("VAE_CHECKPOINT_CACHE", str(tmp_path / "cache"))
    file = saved(tmp_path / "x.npy", np.full((3, 16), 0.5))
    upload(gray, "memory://bulk/model")

    out = tmp_path / "a.safetensors"
    status = main(["encode", "memory://bulk/model", str(file), "--out", str(out)])

    assert status == 0
    remove("memory://bulk/model")
    found = load_file(out)
    assert_same_bits(found, written(tmp_path / "b.safetensors", "encode", gray, file))


@pytest.mark.slow("encodes many rows")
def test_channels_may_come_first(checkpoints: Path, tmp_path: Path) -> None:
    """A memory-mapped file of (N, C, H, W) is turned block by block."""
    config = tiny_config("continuous_bernoulli", data_shape=(8, 8, 3))
    model = save_tiny(tmp_path / "model", tiny_vae(config))
    pixels = DRAW.integers(0, 256, (2500, 8, 8, 3), dtype=np.uint8)
    last = saved(tmp_path / "last.npy", pixels)
    turned = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    first = saved(tmp_path / "first.npy", turned)

    found = written(tmp_path / "a.safetensors", "encode", model, first)

    assert_same_bits(found, written(tmp_path / "b.safetensors", "encode", model, last))


def test_columns_of_a_table_are_found_by_name(tmp_path: Path) -> None:
    """In any order, and a bad cell is named with its line and column."""
    model = save_table(tmp_path / "model", ("height", "mass"))
    (tmp_path / "a.csv").write_text("height,mass\n1.5,2.5\n0.5,1\n")
    (tmp_path / "b.csv").write_text("mass,height\n2.5,1.5\n1,0.5\n")

    a, b = (
        written(tmp_path / "o.safetensors", "encode", model, tmp_path / name)
        for name in ("a.csv", "b.csv")
    )

    assert_same_bits(a, b)


BAD_ROWS: dict[str, tuple[NDArray[Any], str]] = {
    "too large": (
        np.where(np.arange(48).reshape(3, 16) == 37, 2.0, 0.5),
        "row 2 of x.npy, position [5] holds 2.0; expected a value in [0, 1]",
    ),
    "not a number": (
        np.where(np.arange(48).reshape(3, 4, 4) == 21, np.nan, 0.5),
        "row 1 of x.npy, position [1, 1] holds nan; expected a value in [0, 1]",
    ),
    "another scale": (
        np.full((3, 16), 255.0),
        "expected a value in [0, 1]; looks like 0-255: send uint8, or divide by 255",
    ),
    "two readings": (np.eye(3, 16, dtype=np.uint8), "has two readings"),
    "width": (np.zeros((3, 5)), "needs the shape [N, 16] or [N, 4, 4], got [3, 5]"),
    "text": (np.full((3, 16), "a"), "expected numbers, got dtype <U1"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_rows_are_one_line_with_their_place(
    gray: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Status 2; nothing is left behind."""
    values, words = BAD_ROWS[kind]
    file = saved(tmp_path / "x.npy", values)

    status = main(["encode", str(gray), str(file), "--out", str(tmp_path / "o.npy")])

    message = capsys.readouterr().err
    assert status == 2
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert words in message
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_a_bad_row_far_below_ends_the_run(
    gray: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named by its place in the file, also in a shard."""
    values = np.full((9000, 16), 0.5, np.float32)
    values[8191, 3] = -1
    file = saved(tmp_path / "x.npy", values)
    out = str(tmp_path / "o.npy")

    status = main(["encode", str(gray), str(file), "--out", out, "--rows", "3000:"])

    assert status == 2
    assert "row 8191 of x.npy, position [3] holds -1.0" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_gray_values_need_to_be_binarized(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ELBO of a Bernoulli model is of 0 and 1; the error names the option."""
    file = saved(tmp_path / "x.npy", np.full((3, 16), 0.5))
    model = str(checkpoints / "bernoulli")

    status = main(["score", model, str(file), "--out", str(tmp_path / "o.npy")])

    message = capsys.readouterr().err
    assert status == 2
    assert "row 0 of x.npy, position [0] holds 0.5; expected a value in" in message
    assert "--binarize threshold or sample" in message


def test_results_that_do_not_fit_are_named(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ELBO beyond float16 is no infinity in the file."""
    values = np.zeros((4, 5))
    values[2] = 1e4
    file = saved(tmp_path / "x.npy", values)
    model, out = str(checkpoints / "gaussian"), str(tmp_path / "o.npy")

    status = main(["score", model, str(file), "--out", out, "--dtype", "float16"])

    assert status == 2
    assert (
        "row 2 of x.npy: the elbo does not fit float16; leave out --dtype"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x.csv"], "--out must end in .npy or .safetensors, got x.csv"),
        (["--out", "nowhere/x.npy"], "there is no directory nowhere"),
        (["--array", "mean"], "--array must be one of mu, log_var, got mean"),
        (["--out", "o.safetensors", "--array", "mu"], "--array is for .npy"),
        (["--threads", "0"], "--threads must be at least 1, got 0"),
        (["--rows", "5:9"], "--rows 5:9 selects the rows 5 to 8 of 6 in x.npy"),
        (["--rows", "2:2"], "--rows 2:2 selects no rows of 6 in x.npy"),
        (["--rows", "4/4"], "--rows 4/4: the parts are 0/4 to 3/4"),
        (["--rows", "first"], "--rows must be START:STOP, as in 0:5000"),
        (["--out", "x.npy"], "--out x.npy is the input itself"),
        (["--layout", "nchw"], "--layout nchw is for arrays of four axes"),
        (["--sep", ";"], "--sep is for tables, not for x.npy"),
    ],
)
def test_bad_options_are_one_line(
    gray: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    """Status 2 and what was wanted; nothing is written."""
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "x.npy", np.full((6, 16), 0.5, np.float32))

    status = main(["encode", str(gray), "x.npy", "--out", "o.npy", *words])

    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("error: ")
    assert message in error
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--n", "0"], "--n must be at least 1, got 0"),
        (["--seed", "-1"], "--seed must lie between 0 and 2^63 - 1, got -1"),
        (["--first", "-1"], "--first must lie between 0 and 2^63 - 1, got -1"),
        (["--temperature", "nan"], "--temperature must lie between 0 and 100, got nan"),
        (["--rows", "7:"], "--rows 7: selects no rows of 6 in --n"),
    ],
)
def test_bad_options_of_samples_are_one_line(
    gray: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    """As those of files."""
    out = str(tmp_path / "o.npy")

    status = main(["sample", str(gray), "--n", "6", "--out", out, *words])

    assert status == 2
    assert message in capsys.readouterr().err


def test_a_file_is_replaced_only_when_the_new_one_is_whole(
    gray: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line at the end has the arrays, the rows and the rate."""
    out = tmp_path / "o.npy"
    out.write_bytes(b"the old one")

    assert main(["sample", str(gray), "--n", "3", "--out", str(out)]) == 0

    assert np.load(out).shape == (3, 4, 4)
    assert f"{out}: x of 3 rows, " in capsys.readouterr().err


def test_the_metadata_say_what_was_computed(checkpoints: Path, tmp_path: Path) -> None:
    """Checkpoint, rows and options are in a .safetensors file."""
    out = tmp_path / "o.safetensors"
    written(
        out, "sample", checkpoints / "gaussian", "--n", 9, "--seed", 4, "--rows", "3:"
    )

    with safe_open(out, "numpy") as file:
        about = file.metadata()
    assert about["rows"] == "3:9"
    assert about["seed"] == "4"
    assert len(about["checkpoint"]) == 64


@pytest.mark.parametrize("words", [[], ["nothing"]])
def test_an_unknown_operation_is_an_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The four are named."""
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert "{encode,decode,sample,score}" in capsys.readouterr().err


def test_too_little_room_is_an_error_before_any_work(
    gray: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file and its size are named, and nothing is left."""
    out = tmp_path / "o.npy"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        status = main(["sample", str(gray), "--n", "9999", "--out", str(out)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    message = capsys.readouterr().err
    assert status == 2
    assert message.startswith(f"error: {out}.partial: ")
    assert "640,064 bytes are needed" in message
    assert not list(tmp_path.iterdir())
