"""Hosts and origins in settings: lists that are read strictly."""

import pytest

from app.configuration.environment import SettingsError
from app.settings import Settings


def test_lists_are_comma_separated() -> None:
    """Spaces and empty parts are nothing, and neither is case; no origin is none."""
    settings = Settings.from_environment(
        {
            "VAE_CORS_ORIGINS": " https://A.example ,, http://localhost:5173,",
            "VAE_ALLOWED_HOSTS": "VAE.example,127.0.0.1,[::1]",
        }
    )
    empty = Settings.from_environment({"VAE_CORS_ORIGINS": ""})

    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")
    assert settings.allowed_hosts == ("vae.example", "127.0.0.1", "[::1]")
    assert empty.cors_origins == ()


@pytest.mark.parametrize("value", ["", " ", ",", " , ,"])
def test_a_list_of_no_hosts_is_an_error(value: str) -> None:
    """A variable that came out empty does not silently let any host in."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"VAE_ALLOWED_HOSTS": value})

    assert Settings.from_environment({}).allowed_hosts == ()
    assert str(raised.value) == (
        "VAE_ALLOWED_HOSTS: expected names of hosts without a port (unset it to allow "
        f"any host), got {value!r}"
    )


@pytest.mark.parametrize(
    ("variable", "value", "came"),
    [
        ("VAE_CORS_ORIGINS", "example.org", "example.org"),
        ("VAE_CORS_ORIGINS", "https://a.example,null", "null"),
        ("VAE_CORS_ORIGINS", "https://a.example/", "https://a.example/"),
        ("VAE_CORS_ORIGINS", "https://*.example", "https://*.example"),
        ("VAE_CORS_ORIGINS", "https://a\r\nx: y", "https://a\r\nx: y"),
        ("VAE_ALLOWED_HOSTS", "a.example:8000", "a.example:8000"),
        ("VAE_ALLOWED_HOSTS", "https://a.example", "https://a.example"),
        ("VAE_ALLOWED_HOSTS", "*", "*"),
    ],
)
def test_what_could_never_match_is_an_error(
    variable: str, value: str, came: str
) -> None:
    """A list that is misspelt does not silently shut out everyone."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({variable: value})

    wanted = "origins such as" if "CORS" in variable else "names of hosts without"
    assert str(raised.value).startswith(f"{variable}: expected {wanted}")
    assert str(raised.value).endswith(f"got {came!r}")
