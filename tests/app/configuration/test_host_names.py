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


@pytest.mark.parametrize("value", [",", " , ,"])
def test_a_list_of_no_hosts_is_an_error(value: str) -> None:
    """Commas alone do not silently let any host in; an empty variable is not set."""
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
    """A list that is misspelled does not silently shut out everyone."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({variable: value})

    wanted = "origins such as" if "CORS" in variable else "names of hosts without"
    assert str(raised.value).startswith(f"{variable}: expected {wanted}")
    assert str(raised.value).endswith(f"got {came!r}")


@pytest.mark.parametrize(
    ("value", "path"),
    [("/vae", "/vae"), ("/a/b-c.d/", "/a/b-c.d"), ("/", ""), ("", "")],
)
def test_a_prefix_is_a_path_without_a_slash_at_its_end(value: str, path: str) -> None:
    """A slash alone is none."""
    assert Settings.from_environment({"VAE_ROOT_PATH": value}).root_path == path


@pytest.mark.parametrize(
    "value", ["vae", "//vae", "/a//b", "/a b", "/a?b", "/a\r\nb", "/docs", "/explorer/"]
)
def test_what_is_no_prefix_is_an_error(value: str) -> None:
    """Nor are the paths of the pages' own files."""
    with pytest.raises(SettingsError, match="VAE_ROOT_PATH: expected a path such as "):
        Settings.from_environment({"VAE_ROOT_PATH": value})


def test_proxies_are_addresses_or_networks() -> None:
    """Bits below a network's length are nothing; by default it is this machine."""
    value = "10.1.2.3/8, 192.0.2.1,2001:db8::/32,*"
    settings = Settings.from_environment({"VAE_FORWARDED_ALLOW_IPS": value})

    assert settings.forwarded_allow_ips == (
        "10.0.0.0/8",
        "192.0.2.1/32",
        "2001:db8::/32",
        "*",
    )
    assert Settings.from_environment({}).forwarded_allow_ips == ("127.0.0.1", "::1")
    with pytest.raises(SettingsError, match="expected addresses or networks such as"):
        Settings.from_environment({"VAE_FORWARDED_ALLOW_IPS": "proxy.example"})
