"""One address, one host: what is checked is what every parser reads, and what is asked."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.plan.addresses import parse_address
from stripe_reports_source.plan.settings import checked_base_url

PIECES = ["http", "https", "://", "a.example", "b.example", "127.0.0.1", "[::1]", "user", ":", "1", "@", "\\", "/", "?"]
PIECES += [
    "#",
    "x=1",
    " ",
    "\t",
    "\n",
    "%2f",
    "%",
    "..",
    ".",
    "é",
    "\u3002",
    "\0",
    ";",
    "0x7f.1",
    "017700000001",
    "-",
    "_",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_all_parsers_read_what_is_let_through_alike(text: str) -> None:
    for begin in ("", "https://", "http://a.example"):
        address = parse_address(begin + text)
        if address is None:
            continue
        host, url = address.host.strip("[]"), address.url
        assert urlsplit(url).hostname == host
        parsed = urllib3.util.parse_url(url)
        assert (parsed.host or "").strip("[]") == host
        assert (parsed.port or {"http": 80, "https": 443}[address.scheme]) == address.port
        prepared = requests.Request("GET", url).prepare()
        assert prepared.url is not None
        asked = urlsplit(prepared.url)
        assert (asked.hostname, asked.username, asked.password) == (host, None, None)
        again = parse_address(url)
        assert again == address


@pytest.mark.parametrize(
    "text",
    [
        "http://other\\@files.stripe.com/x",
        "https://user@api.stripe.com",
        "https://user:word@api.stripe.com",
        "https://api.stripe.com\\x",
        "https://api.stripe.com /x",
        "https://api.stripe.com/x\n",
        "https://api.stripe.com/\0",
        "https://api.stripe.com#x",
        "https://api.stripe.com:0",
        "https://api.stripe.com:65536",
        "https://api.stripe.com:",
        "https://[:::]",
        "https://127.1",
        "https://0x7f.0x1",
        "https://2130706433",
        "https://\u0430pi.stripe.com",
        f"https://{'a' * 64}.example",
        f"https://a.example/{'a' * 2000}",
        "//api.stripe.com",
        "",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    assert parse_address(text) is None
    with pytest.raises(ConfigurationError, match="api_base_url"):
        checked_base_url(text, "api_base_url")


def test_an_address_is_asked_in_one_form() -> None:
    found = parse_address("HTTPS://Files.Stripe.com:443/v1/files/file_1/contents?a=b")
    assert found is not None
    assert (found.origin, found.url) == (
        "https://files.stripe.com",
        "https://files.stripe.com/v1/files/file_1/contents?a=b",
    )


@pytest.mark.parametrize(
    "url", ["http://api.stripe.com", "http://10.0.0.1", "http://127.0.0.1.example", "ftp://127.0.0.1"]
)
def test_the_key_never_travels_in_the_clear(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must be an https address"):
        checked_base_url(url, "files_base_url")


def test_a_refused_address_shows_no_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_base_url("https://me:secret@api.stripe.com", "api_base_url")
    assert "secret" not in str(caught.value)
