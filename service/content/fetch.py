"""Getting a source's bytes: from configured hosts only, within limits of size and time, or from a file."""

from collections.abc import Collection
from dataclasses import dataclass

from service.ports import Clock


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


class Fetcher:
    """Reads feeds over HTTP(S) and from files; refuses with ServiceError and never reaches another host."""

    def __init__(self, hosts: Collection[str], private_hosts: Collection[str], clock: Clock) -> None:
        self._hosts, self._private_hosts, self._clock = frozenset(hosts), frozenset(private_hosts), clock

    def fetch(
        self, location: str, *, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched | NotModified:
        raise NotImplementedError
