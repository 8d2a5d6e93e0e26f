"""Web addresses, in the one form that all parsers read alike. Pure.

In: addresses from settings and from Stripe. Out: an `Address`, whose `url` is what is asked. Parsers disagree about
addresses such as `http://a\\@b/`: the host that one of them checks is then not the host that another one connects to,
and the API key goes there. So nothing is let through that could be read in two ways: no user, backslash, space, control
character, fragment, or host in another script.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_CHARACTERS = r"A-Za-z0-9._~!$&'()*+,;=:@%/-"
_FORM = re.compile(
    rf"(https?)://({_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?"
    rf"((?:/[{_CHARACTERS}]*)?)((?:\?[{_CHARACTERS}?]*)?)",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """A web address, taken apart. `host` is in lower case, an IPv6 address in brackets; `query` has its `?`."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> str:
        """Who is asked: scheme, host and port."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def url(self) -> str:
        """The address as it is asked."""
        return f"{self.origin}{self.path}{self.query}"

    @property
    def loopback(self) -> bool:
        """True for this machine's own addresses."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address | None:
    """An address taken apart; None if it is not an HTTP address in the form that all parsers read alike."""
    match = _FORM.fullmatch(text)
    if match is None or len(text) > 2000:
        return None
    scheme, host, port, path, query = match.groups()
    scheme, host = scheme.lower(), host.lower()
    number = int(port) if port else _PORTS[scheme]
    if not 0 < number < 1 << 16 or len(host) > 253 or not _is_host(host):
        return None
    return Address(scheme, host, number, path, query)


def _is_host(host: str) -> bool:
    """False for an IP address in another notation than the usual one; 0x7f.1 is read in several ways."""
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
        elif re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
