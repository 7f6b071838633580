"""The register of processors: everybody who handles readers' data on the publisher's behalf (GDPR 28; D-21, D-34).

It is a TOML file that the publisher keeps; a mail relay that does not stand in it is not used. The page /processors,
the consent records and the record of processing activities are made from it.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

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
    for processor in register:
        if relay_host.lower() in (host.lower() for host in processor.hosts):
            return processor
    raise ConfigurationError(
        f"The relay {relay_host} is not in the register of processors (MILEPOST_PROCESSORS_FILE); nothing was started. "
        "Who carries the mail sees every address, so readers are told who that is. Add what is true of it:\n\n"
        "[[processors]]\n"
        'name = "Legal name of the relay\'s operator"\n'
        'purpose = "Hands our mail to mailboxes"\n'
        f'hosts = ["{relay_host}"]\n'
        'sees = ["addresses", "content of mails"]\n'
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
