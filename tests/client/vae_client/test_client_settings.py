"""The settings of a client, and those that it refuses."""

from typing import Any

import pytest

from app.configuration.environment import PREFIX as SERVICE_PREFIX
from vae_client.client_settings import PREFIX, ClientSettings


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "127.0.0.1:8000"},
        {"url": "ftp://127.0.0.1"},
        {"url": "http://"},
        {"url": "http://127.0.0.1/?key=1"},
        {"url": "http://127.0.0.1/#top"},
        {"api_key": ""},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"url": "http://127.0.0.1:port"},
        {"url": "http://127.0.0.1:65536"},
        {"url": " http://127.0.0.1:8000"},
        {"url": "http://127.0.0.1:8000\n"},
        {"url": "http://127.0.0.1\x00"},
        {"n_retries": -1},
        {"n_concurrent": 0},
    ],
)
def test_unusable_settings_are_refused(settings: dict[str, Any]) -> None:
    """Where the client is made, not at its first call."""
    with pytest.raises(ValueError, match=r"^expected "):
        ClientSettings(**settings)


@pytest.mark.parametrize("name", ["n_retries", "n_concurrent"])
def test_numbers_of_requests_are_integers(name: str) -> None:
    """A count would never be 1.5, and the retries would never end."""
    settings: dict[str, Any] = {name: 1.5}

    with pytest.raises(TypeError):
        ClientSettings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "http://me:s3cret@127.0.0.1"},
        {"api_key": "s3cret\r\nx: y"},
        {"api_key": "s3cret "},
        {"api_key": "s3cret\u00e9"},
    ],
)
def test_a_secret_is_not_in_what_refuses_it(settings: dict[str, Any]) -> None:
    """An error may end up in a log."""
    with pytest.raises(ValueError, match=r"^expected ") as refused:
        ClientSettings(**settings)

    assert "s3cret" not in str(refused.value)


def test_a_key_is_not_in_the_settings_representation() -> None:
    """Nor would it be in a traceback that shows variables."""
    assert "s3cret" not in repr(ClientSettings(api_key="s3cret"))


def test_the_environment_sets_url_and_key() -> None:
    """The two variables are read, others are not looked at, misspelled ones refused."""
    environ = {"VAECLIENT_URL": "https://vae.example/v", "VAECLIENT_API_KEY": "k"}

    assert ClientSettings.from_environment({"VAE_PORT": "1"}) == ClientSettings()
    assert ClientSettings.from_environment(environ) == ClientSettings(
        "https://vae.example/v", api_key="k"
    )
    with pytest.raises(ValueError, match="VAECLIENT_KEY is not one of VAECLIENT_URL"):
        ClientSettings.from_environment({"VAECLIENT_KEY": "k"})


def test_no_variable_of_the_client_is_one_of_the_service() -> None:
    """The service refuses to start on a name with its prefix that it does not know."""
    assert not PREFIX.startswith(SERVICE_PREFIX)
