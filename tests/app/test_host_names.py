"""Hosts and origins in settings: lists that are read strictly."""

import pytest

from app.environment import SettingsError
from app.settings import Settings


def test_lists_are_comma_separated() -> None:
    """Spaces and empty parts are nothing, and neither is case; empty is the default."""
    settings = Settings.from_environment(
        {
            "VAE_CORS_ORIGINS": " https://A.example ,, http://localhost:5173,",
            "VAE_ALLOWED_HOSTS": "VAE.example,127.0.0.1,[::1]",
        }
    )
    empty = Settings.from_environment({"VAE_CORS_ORIGINS": "", "VAE_ALLOWED_HOSTS": ""})

    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")
    assert settings.allowed_hosts == ("vae.example", "127.0.0.1", "[::1]")
    assert empty.cors_origins == empty.allowed_hosts == ()


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
