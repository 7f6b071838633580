"""Getting a source's bytes: from configured hosts only, within limits of size and time, or from a file.

Every hop of a redirect is checked like the first address, and the connection goes to the very IP address that was
checked, so that no answer of a name server in between can lead into the publisher's own network (SSRF).
"""

import ipaddress
import re
import socket
import stat
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from service.errors import Kind, ServiceError
from service.ports import Clock

LARGEST = 10 * 1024 * 1024
"""Octets, unpacked. The largest honest feeds are a tenth of that."""
SILENCE_SECONDS = 10.0
"""How long to wait for a connection and for each further piece."""
TOTAL_SECONDS = 60.0
MOST_REDIRECTS = 5
LONGEST_VALIDATOR = 500

_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {
    "User-Agent": "Milepost",
    "Accept": "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1",
    # Other packings could be bombs that only their own library can defuse.
    "Accept-Encoding": "gzip",
}
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""RFC 4291 §2.4. Outside lie other ways to write inner addresses, of which `is_global` knows only some."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052 §2.1: what DNS64 answers for every host that has IPv4 only."""
_WEB = re.compile(r"https?:", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A good answer."""

    body: bytes
    location: str
    """Where it came from in the end: what relative addresses are relative to."""
    charset: str | None = None
    """As the server said, if it did."""
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The server says that nothing has changed since the validators were given."""


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str


class Fetcher:
    """Reads feeds over HTTP(S) and from files; refuses with ServiceError and never reaches another host."""

    def __init__(self, hosts: Collection[str], private_hosts: Collection[str], clock: Clock) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._private_hosts = frozenset(host.lower() for host in private_hosts)
        self._clock = clock

    def fetch(
        self, location: str, *, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched | NotModified:
        """The content behind `location`, an http(s) or file URL or an absolute path.

        With the validators of the last answer the server may say that nothing changed. Raises ServiceError.
        """
        if not _WEB.match(location):
            return _read_file(location)
        validators = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        headers = {name: value for name, value in validators.items() if value}
        deadline = self._clock.monotonic() + TOTAL_SECONDS
        here = location
        # Our own proxy settings and cookies have no business here; redirects are followed below, with every check.
        with httpx.Client(trust_env=False, follow_redirects=False, timeout=SILENCE_SECONDS) as client:
            for _ in range(MOST_REDIRECTS + 1):
                answer = self._get(client, here, headers, deadline)
                if not isinstance(answer, _Redirect):
                    return answer
                if here.lower().startswith("https:") and answer.location.lower().startswith("http:"):
                    raise _refusal("feed_redirect", f"{here} redirects to an address without encryption")
                here = answer.location
        raise _refusal("feed_redirect", f"{location} redirects more than {MOST_REDIRECTS} times")

    def _get(
        self, client: httpx.Client, location: str, headers: dict[str, str], deadline: float
    ) -> Fetched | NotModified | _Redirect:
        with _explained(location):
            url = httpx.URL(location)
            addresses = self._checked_addresses(url)
            for address in addresses:
                request = client.build_request(
                    "GET",
                    url.copy_with(host=address),
                    headers=_HEADERS | {"Host": url.netloc.decode("ascii")} | headers,
                    extensions={"sni_hostname": url.host},
                )
                try:
                    response = client.send(request, stream=True)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    if address == addresses[-1]:
                        raise
                    continue  # as with localhost, which is ::1 first and often only 127.0.0.1
                try:
                    return self._answer(response, location, deadline, conditional=bool(headers))
                finally:
                    response.close()
        raise AssertionError("a name without addresses is unknown")

    def _answer(
        self, response: httpx.Response, location: str, deadline: float, *, conditional: bool
    ) -> Fetched | NotModified | _Redirect:
        if response.status_code in _REDIRECTS and response.headers.get("location"):
            return _Redirect(urljoin(location, response.headers["location"]))
        if response.status_code == HTTPStatus.NOT_MODIFIED and conditional:
            return NotModified()
        if response.status_code != HTTPStatus.OK:
            raise _refusal("feed_status", f"{location} answered {response.status_code} {response.reason_phrase}")
        charset = _CHARSET.search(response.headers.get("content-type", ""))
        return Fetched(
            body=self._read(response, location, deadline),
            location=location,
            charset=charset[1] if charset else None,
            etag=_validator(response, "etag"),
            last_modified=_validator(response, "last-modified"),
        )

    def _read(self, response: httpx.Response, location: str, deadline: float) -> bytes:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip", ""):
            raise _refusal("feed_encoding", f"{location} is packed as {encoding[:20]!r}, which was not asked for")
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding.endswith("gzip") else None
        body, received = bytearray(), 0
        for piece in response.iter_raw():
            received += len(piece)
            # A bomb is unpacked up to the limit and no further.
            body += unpacker.decompress(piece, LARGEST + 1 - len(body)) if unpacker else piece
            if max(len(body), received) > LARGEST:
                raise _refusal("feed_too_big", f"{location} is larger than {LARGEST // 1024**2} MiB")
            if self._clock.monotonic() > deadline:
                raise _refusal("feed_slow", f"{location} did not arrive within {TOTAL_SECONDS:.0f} seconds")
        if unpacker and not unpacker.eof:
            raise _refusal("feed_cut", f"{location} broke off before its end")
        return bytes(body)

    def _checked_addresses(self, url: httpx.URL) -> list[str]:
        """The IP addresses that `url` may be fetched from. Raises ServiceError (FORBIDDEN or UNAVAILABLE)."""
        host = url.raw_host.decode("ascii").rstrip(".")
        if url.scheme not in ("http", "https") or url.userinfo or host not in self._hosts:
            raise _forbidden(
                f"{host or url} is not among MILEPOST_CONTENT_HOSTS", "If its content may be read, add it there."
            )
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise _refusal("feed_unreachable", f"the name {host} is unknown") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if host not in self._private_hosts and not all(_is_public(address) for address in addresses):
            raise _forbidden(
                f"{host} leads to a private address, as inside your own network",
                "If that is meant, add it to MILEPOST_CONTENT_PRIVATE_HOSTS.",
            )
        return addresses


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        embedded = ip.ipv4_mapped or ip.sixtofour or translated
        return _is_public(str(embedded)) if embedded else ip.is_global and ip in _GLOBAL_UNICAST
    return ip.is_global and not ip.is_multicast


def _validator(response: httpx.Response, name: str) -> str | None:
    value: str | None = response.headers.get(name)
    return value if value and len(value) <= LONGEST_VALIDATOR and value.isascii() and value.isprintable() else None


@contextmanager
def _explained(location: str) -> Iterator[None]:
    """What went wrong on the way, as a refusal that an operator understands."""
    try:
        yield
    except httpx.TimeoutException:
        raise _refusal("feed_slow", f"{location} did not answer within {SILENCE_SECONDS:.0f} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL, zlib.error, ValueError) as error:
        raise _refusal("feed_unreachable", f"{location} could not be read ({error})") from None


def _read_file(location: str) -> Fetched:
    path = Path(unquote(urlsplit(location).path) if location.startswith("file:") else location)
    try:
        regular = stat.S_ISREG(path.stat().st_mode)  # a pipe or a device would never end
        body = _read_start(path) if regular else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal("feed_file", f"the file {path} cannot be read: {reason}") from None
    if body is None:
        raise _refusal("feed_file", f"{path} is not a file")
    if len(body) > LARGEST:
        raise _refusal("feed_too_big", f"the file {path} is larger than {LARGEST // 1024**2} MiB")
    return Fetched(body, path.absolute().as_uri())


def _read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def _refusal(code: str, what: str) -> ServiceError:
    return ServiceError(Kind.UNAVAILABLE, code, f"Nothing was read and nothing was changed: {what}.")


def _forbidden(what: str, next_step: str) -> ServiceError:
    return ServiceError(
        Kind.FORBIDDEN, "feed_host_forbidden", f"Nothing was fetched and nothing was changed: {what}. {next_step}"
    )
