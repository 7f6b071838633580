"""The register of processors: everybody who handles readers' data on the publisher's behalf (GDPR 28; D-21, D-34).

It is a TOML file that the publisher keeps; a mail relay that does not stand in it is not used, nor is a database on
somebody else's machine. The page /processors, the consent records and the record of processing activities are made
from it.
"""

import ipaddress
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NoReturn

from service.errors import ConfigurationError

LONGEST_LOGS = 30
"""Days that a processor may keep logs with addresses (D-34)."""


@dataclass(frozen=True, slots=True)
class Processor:
    """One entry. All but `hosts` is told to readers."""

    name: str
    """Legal name."""
    purpose: str
    """What it does for the publisher: "hands our mail to mailboxes"."""
    hosts: tuple[str, ...]
    """Names under which Milepost connects to it; empty for one that it never connects to (a data centre)."""
    sees: tuple[str, ...]
    """Which data: "addresses", "content"."""
    country: str
    third_country: bool
    """Whether data leaves the publisher's jurisdiction (GDPR 13(1)(f))."""
    reuse_of_data: str
    """Always "none": anything else breaks what readers were promised."""
    log_days: int
    """How long it keeps logs with addresses."""
    contract: str
    """Where the agreement is: a reference, or "self-operated"."""
    contact: str
    self_operated: bool = False
    """The publisher runs it: its own mail server, say."""


def describe_to_reader(processor: Any) -> dict[str, Any]:
    """What readers are told of one: all but the names of machines."""
    return {name: value for name, value in asdict(processor).items() if name != "hosts"}


def parse_register(text: str) -> tuple[Processor, ...]:
    """The register in `text`, TOML with a [[processors]] table each. Raises ConfigurationError with entry and field."""
    try:
        described = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unusable(f"it is not TOML: {error}.") from None
    if set(described) - {"processors"} or not isinstance(described.get("processors", []), list):
        raise _unusable("it may hold [[processors]] tables only.")
    found = tuple(_processor(number, entry) for number, entry in enumerate(described.get("processors", []), 1))
    names = [processor.name for processor in found]
    if len(set(names)) < len(names):
        raise _unusable("two entries have the same name.")
    return found


def check_relay(register: Sequence[Processor], relay_host: str) -> Processor:
    """The entry of the relay. Raises ConfigurationError, with the text to add, if there is none (D-21)."""
    return _find(register, relay_host) or _refuse(
        f"The relay {relay_host} is not in the register of processors (MILEPOST_PROCESSORS_FILE); nothing was started. "
        "Who carries the mail sees every address, so readers are told who that is.",
        "Hands our mail to mailboxes",
        relay_host,
        "content of mails",
    )


def check_keepers(register: Sequence[Processor], hosts: Iterable[str]) -> None:
    """Whoever keeps our database or our Redis stands in the register, too, unless it is on a network of our own.

    Raises ConfigurationError, with the text to add, for the first of `hosts` that does not (D-21). Names are not looked
    up: one in public DNS counts as elsewhere.
    """
    for host in hosts:
        if not is_at_home(host) and not _find(register, host):
            _refuse(
                f"{host}, where the settings put PostgreSQL or Redis, is neither on a private network nor in the "
                "register of processors (MILEPOST_PROCESSORS_FILE); nothing was started. Who runs it can see what is "
                "kept there, so readers are told who that is.",
                "Keeps our database",
                host,
                "what is kept about readers",
            )


def is_at_home(host: str) -> bool:
    """Loopback, a private network, or a name that public DNS does not know (of docker-compose, `.internal`)."""
    host = _plain(host)
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_NAMES)


PRIVATE_NAMES = (".localhost", ".internal", ".local", ".home.arpa")
"""Reserved, never in public DNS (RFC 6761, 6762, 8375; ICANN for .internal)."""


def _find(register: Sequence[Processor], host: str) -> Processor | None:
    return next((entry for entry in register if _plain(host) in map(_plain, entry.hosts)), None)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _refuse(why: str, purpose: str, host: str, sees: str) -> NoReturn:
    raise ConfigurationError(
        f"{why} Add what is true of it:\n\n"
        "[[processors]]\n"
        'name = "Legal name of its operator"\n'
        f'purpose = "{purpose}"\n'
        f'hosts = ["{host}"]\n'
        f'sees = ["addresses", "{sees}"]\n'
        'country = "…"\n'
        "third_country = false\n"
        'reuse_of_data = "none"\n'
        "log_days = 30\n"
        'contract = "reference of the agreement, or self-operated"\n'
        'contact = "…"\n'
        "self_operated = false"
    )


def _processor(number: int, entry: Any) -> Processor:
    if not isinstance(entry, dict):
        raise _unusable("each entry is a [[processors]] table.")
    where = f"entry {number} ({entry.get('name', 'without a name')})"
    known = {field.name for field in fields(Processor)}
    if unknown := set(entry) - known:
        raise _unusable(f"{where} has an unknown field {min(unknown)}.")
    values: dict[str, Any] = {}
    for field in fields(Processor):
        value: Any = entry.get(field.name, False if field.name == "self_operated" else None)
        wanted = _KINDS.get(field.name, str)
        # True is an int to isinstance.
        fits = isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool)
        if not fits or (wanted is str and not value.strip()):
            raise _unusable(f"{where} needs {field.name} ({_NAMES[wanted]}).")
        if wanted is list and not all(isinstance(item, str) and item.strip() for item in value):
            raise _unusable(f"{where}: {field.name} is a list of words.")
        values[field.name] = tuple(value) if wanted is list else value
    if values["reuse_of_data"] != "none":
        raise _unusable(
            f'{where}: reuse_of_data must be "none": readers were promised that nobody else uses their data.'
        )
    if not 0 <= values["log_days"] <= LONGEST_LOGS:
        raise _unusable(f"{where}: log_days must be 0 to {LONGEST_LOGS}.")
    return Processor(**values)


_KINDS: dict[str, type] = {
    "hosts": list,
    "sees": list,
    "third_country": bool,
    "log_days": int,
    "self_operated": bool,
}
_NAMES = {str: "text", list: "a list of texts", bool: "true or false", int: "a whole number"}


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(f"The register of processors cannot be used; nothing was started: {why}")
