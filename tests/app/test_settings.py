"""Settings are read from VAE_* variables, strictly."""

from pathlib import Path

import pytest

from app.configuration.environment import SettingsError, service_links
from app.settings import Settings, setting_rows
from model.machine import available_cores
from model.remote.location import RemoteLocation


def test_defaults_need_no_environment() -> None:
    """An empty environment gives the documented defaults."""
    settings = Settings.from_environment({})

    assert settings.checkpoint == Path(__file__).parents[2] / "released" / "mnist"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.threads == available_cores()
    assert settings.max_body_bytes == 64 * 2**20


def test_variables_are_read_and_others_are_not() -> None:
    """VAE_PORT sets the port; what has another prefix is none of our business."""
    environ = {"VAE_PORT": "9000", "VAE_DEVICE": "auto", "PATH": "/bin", "PORT": "1"}

    settings = Settings.from_environment(environ)

    assert settings.port == 9000
    assert settings.device == "auto"


def test_an_unknown_variable_is_an_error_that_names_the_nearest() -> None:
    """A misspelled name does not silently leave the default."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"VAE_CHECKPIONT": "x"})

    message = "VAE_CHECKPIONT is not a setting; did you mean VAE_CHECKPOINT?"
    assert str(raised.value) == message


def test_the_checkpoint_is_a_path_or_a_url(tmp_path: Path) -> None:
    """A URL keeps both slashes, also on the way to a worker; its copy is a folder."""
    url = "hf://user/model@main"
    environ = {"VAE_CHECKPOINT": url, "VAE_CHECKPOINT_CACHE": str(tmp_path)}

    settings = Settings.from_environment(environ)
    in_worker = Settings.model_validate_json(settings.model_dump_json())
    local = Settings.from_environment({"VAE_CHECKPOINT": "checkpoints/mine"})

    assert settings.checkpoint == in_worker.checkpoint == RemoteLocation(url)
    assert settings.checkpoint_directory.parent == tmp_path
    assert settings.checkpoint_directory.name.startswith("model-")
    assert local.checkpoint == local.checkpoint_directory == Path("checkpoints/mine")
    copied = Settings.model_validate_json(local.model_dump_json())
    assert copied.checkpoint == local.checkpoint


def test_what_begins_like_a_url_must_be_one() -> None:
    """It is not taken as a path."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"VAE_CHECKPOINT": "https://"})

    assert str(raised.value) == (
        "VAE_CHECKPOINT: expected a URL such as hf://user/model or "
        "https://host/folder, got 'https://'"
    )


def kubernetes(service: str) -> dict[str, str]:
    """Return what Kubernetes sets in a container for a Service of this prefix."""
    address = "10.96.0.12"
    return {
        f"{service}_SERVICE_HOST": address,
        f"{service}_SERVICE_PORT": "8000",
        f"{service}_SERVICE_PORT_HTTP": "8000",
        f"{service}_PORT": f"tcp://{address}:8000",
        f"{service}_PORT_8000_TCP": f"tcp://{address}:8000",
        f"{service}_PORT_8000_TCP_PROTO": "tcp",
        f"{service}_PORT_8000_TCP_PORT": "8000",
        f"{service}_PORT_8000_TCP_ADDR": address,
    }


@pytest.mark.parametrize("service", ["VAE", "VAE_SERVICE", "VAE_DIGITS_2"])
def test_variables_of_kubernetes_services_are_passed_over(service: str) -> None:
    """A Service called `vae` or `vae-service` sets no port and ends no start."""
    links = kubernetes(service)
    environ = {**links, "VAE_MAX_ROWS": "7", "OTHER_SERVICE_HOST": "10.0.0.1"}

    settings = Settings.from_environment(environ)

    assert (settings.port, settings.max_rows) == (8000, 7)
    assert sorted(service_links(environ)) == sorted(links)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VAE_SERVICE_HOST", "example.org"),
        ("VAE_SERVICE_PORTS", "8000"),
        ("VAE_PROT", "9000"),
        ("VAE_PORT", "tcp:/10.0.0.1:8000"),
        ("VAE_DIGITS_SERVICE_PORT", "8000"),  # and no host of that Service
    ],
)
def test_what_only_looks_like_one_is_an_error(variable: str, value: str) -> None:
    """A misspelled setting is caught beside the variables of Services."""
    links = kubernetes("VAE_SERVICE")

    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment({**links, variable: value})


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("VAE_PORT", "eighty", "a valid integer"),
        ("VAE_PORT", "65536", "less than or equal to 65535"),
        ("VAE_DEVICE", "gpu", "'auto', 'cpu' or 'cuda'"),
        ("VAE_MAX_ROWS", "0", "greater than or equal to 1"),
        ("VAE_THREADS", "1.5", "a valid integer"),
        ("VAE_WATCH_SECONDS", "1e-9", "0, or at least 0.01"),
        ("VAE_HEAD_TIMEOUT", "1e-9", "greater than or equal to 0.1"),
        ("VAE_BODY_TIMEOUT", "nan", "less than or equal to 3600"),
        ("VAE_IDLE_TIMEOUT", "1e308", "less than or equal to 3600"),
        ("VAE_REQUEST_TIMEOUT", "0.05", "greater than or equal to 0.1"),
        ("VAE_MAX_HEADERS", "3", "greater than or equal to 16"),
        ("VAE_MAX_BODY_BYTES", "9" * 20, "less than or equal to 1125899906842624"),
        ("VAE_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_bad_value_is_one_sentence(variable: str, value: str, wanted: str) -> None:
    """It names the variable, what was wanted and what came."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({variable: value})

    assert str(raised.value) == f"{variable}: expected {wanted}, got {value!r}"


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_counts_as_not_set(value: str) -> None:
    """Compose and shells pass one for what has no value; a wrong name is an error."""
    names = [f"VAE_{name.upper()}" for name in Settings.model_fields]

    settings = Settings.from_environment(dict.fromkeys(names, value))

    assert settings == Settings.from_environment({})
    with pytest.raises(SettingsError, match="VAE_PROT is not a setting"):
        Settings.from_environment({"VAE_PROT": value})


def test_every_setting_is_documented() -> None:
    """The table has every setting once, with a default and a description."""
    rows = setting_rows()

    assert [row.variable for row in rows] == [
        f"VAE_{name.upper()}" for name in Settings.model_fields
    ]
    assert all(row.description.endswith(".") for row in rows)
    assert (
        dict(row[:2] for row in rows)["VAE_THREADS"]
        == "the available cores; 1 with several workers"
    )
    assert dict(row[:2] for row in rows)["VAE_PORT"] == "8000"
