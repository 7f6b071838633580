"""The egress guard: this process connects to configured hosts and to nobody else (D-31).

An audit hook (PEP 578) sees every connection, datagram and look-up that Python code makes, whatever library makes it,
and cannot be taken out again. A socket that is given a name looks it up before the hook is told: its methods are asked
first. The hook does not see sockets opened by native code: libpq connects to the database's URL and nowhere else
(`check` is asked before), the web server only listens. Nor does it see what another program does, so a process that
serves starts none. The deployment says the same again, in networks.
"""

import functools
import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class EgressRefusedError(PermissionError):
    """Nothing was sent: the host is not one that the settings name."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"Milepost connects to configured hosts only; {host} is none of them, and nothing was sent. If it should "
            "be, name it in the settings (relay_host, content_hosts, database_url, redis_url)."
        )


class ProgramRefusedError(PermissionError):
    """Nothing was started: a process that serves needs no other program, and the guard could not see into one."""

    def __init__(self, program: str) -> None:
        super().__init__(f"A process of Milepost that serves starts no other program; {program} was not started.")


PROGRAMS = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "pty.spawn")
"""Audit events. A fork is none: what it makes is guarded as well."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One place that the settings name. `port` None: any."""

    host: str
    port: int | None = None


class _Guard:
    """What this process may reach. Grows when a process is wired twice; never shrinks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: dict[str, set[int | None]] = {}
        """Names and addresses as configured → ports."""
        self._names_of: dict[str, set[str]] = {}
        """Address → the configured names that it was the answer for."""
        self._loopback = False
        self.installed = False
        self.serves = False

    def allow(self, places: Iterable[Allowed], *, loopback: bool) -> None:
        with self._lock:
            for place in places:
                self._ports.setdefault(_plain(place.host), set()).add(place.port)
            self._loopback = self._loopback or loopback

    def answered(self, name: str, addresses: Iterable[str]) -> None:
        """A look-up of a configured name gave these addresses: they are allowed wherever the name is."""
        with self._lock:
            for address in addresses:
                self._names_of.setdefault(_plain(address), set()).add(_plain(name))

    def may_look_up(self, host: str) -> bool:
        return _plain(host) in self._ports or _is_address(host) or _plain(host) in _own_names()

    def may_look_up_backwards(self, host: str) -> bool:
        """An address in digits is no question to anybody, unless it is asked whose it is."""
        if not _is_address(host):
            return self.may_look_up(host)
        if self._loopback and _is_loopback(host):
            return True
        return any(name in self._ports for name in (_plain(host), *self._names_of.get(_plain(host), ())))

    def may_reach(self, address: str, port: int) -> bool:
        address = _plain(address)
        if self._loopback and _is_loopback(address):
            return True
        names = {address, *self._names_of.get(address, ())}
        return any(not {None, port}.isdisjoint(self._ports.get(name, ())) for name in names)


_guard = _Guard()
_look_up = socket.getaddrinfo


def install(places: Iterable[Allowed], *, loopback: bool = False) -> None:
    """From now on this process reaches these places only. `loopback` allows every port of this machine (the demo)."""
    _guard.allow(places, loopback=loopback)
    if not _guard.installed:
        _guard.installed = True
        # The hook is told of a look-up but not of its answer, and asking again may give another one.
        socket.getaddrinfo = _remembering_look_up
        for method in ("bind", "connect", "connect_ex", "sendto", "sendmsg"):
            setattr(socket.socket, method, _asking_first(getattr(socket.socket, method)))
        sys.addaudithook(_watch)


def start_no_programs() -> None:
    """Once a process that serves has started: no other program from now on. Nothing where no guard is installed."""
    _guard.serves = True


def check(host: str, port: int) -> None:
    """For code whose sockets the hook cannot see. Raises EgressRefusedError."""
    if _guard.installed and not (_guard.may_look_up(host) if not _is_address(host) else _guard.may_reach(host, port)):
        _refuse(host)


def _remembering_look_up(host: Any, *arguments: Any, **more: Any) -> list[Any]:
    found: list[Any] = _look_up(host, *arguments, **more)
    if host is not None:
        _guard.answered(_text(host), (str(answer[4][0]) for answer in found))
    return found


def _asking_first(method: Callable[..., Any]) -> Callable[..., Any]:
    """The socket's own method, once it is known that the name in its address, if it is one, may be looked up."""

    @functools.wraps(method)
    def guarded(self: socket.socket, *arguments: Any, **more: Any) -> Any:
        address = arguments[-1] if arguments else None
        if isinstance(address, tuple) and address and isinstance(address[0], str | bytes):
            host = _text(address[0])
            if host and not _guard.may_look_up(host):
                _refuse(host)
        return method(self, *arguments, **more)

    return guarded


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        _, address = arguments
        if isinstance(address, tuple) and not _guard.may_reach(str(address[0]), int(address[1])):
            _refuse(str(address[0]))
        elif isinstance(address, str | bytes):
            _refuse("a local socket")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
        if host and not _guard.may_look_up(_text(host)):
            _refuse(_text(host))
    elif event in ("socket.gethostbyaddr", "socket.getnameinfo"):
        host = _text(arguments[0] if event == "socket.gethostbyaddr" else arguments[0][0])
        if not _guard.may_look_up_backwards(host):
            _refuse(host)
    elif _guard.serves and event in PROGRAMS and not (event == "os.exec" and arguments[0] == sys.executable):
        # Celery begins anew on SIGHUP: as itself, with a guard of its own.
        program = str(arguments[0])
        log.error("program_refused", program=program)
        raise ProgramRefusedError(program)


def _refuse(host: str) -> None:
    log.error("egress_refused", host=host)
    raise EgressRefusedError(host)


def _own_names() -> frozenset[str]:
    return frozenset({"localhost", _plain(socket.gethostname())})


def _text(host: str | bytes) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)


def _plain(host: str) -> str:
    """One spelling: lower case, no final dot, an address as `ipaddress` writes it, IPv4 out of IPv6."""
    host = host.lower().rstrip(".").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return _is_address(address) and ipaddress.ip_address(address).is_loopback
