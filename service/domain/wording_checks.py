"""The words that readers were shown: as they were published, and under the language and purpose that the forms name."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.domain.checkpoint_lines import Known
from service.domain.event_records import Shas
from service.domain.faults import Fault, FaultKind, Findings


class Shown(NamedTuple):
    """What a form shows a text as. The form is hashed whole; what the text is filed under is in no hash of its own."""

    table: str
    id: int
    filed: str


@dataclass(frozen=True, slots=True)
class Wording:
    """A text that readers were shown, as it is stored."""

    table: str
    id: int
    sha256: bytes
    found: bytes
    """The hash of what it says now."""
    filed: str | None = None
    """Language (and purpose) beside a statement or notice: `en digest`, `en`."""
    shows: tuple[Shown, ...] = ()
    """Of a form."""

    @property
    def name(self) -> str:
        return f"{self.table}/{self.id}"


def shown_by(definition: Any) -> Iterator[Shown]:
    """The statements and notices of a form, as `usecases/wording.py` pins them."""
    definition = definition if isinstance(definition, Mapping) else {}
    for language, number in _pairs(definition.get("notices")):
        yield Shown("notices", number, language)
    for language, statements in _pairs(definition.get("statements")):
        for purpose, number in _pairs(statements):
            yield Shown("statements", number, f"{language} {purpose}")


def _pairs(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def check_wordings(wordings: Iterable[Wording], known: Known, findings: Findings) -> Shas:
    """Every wording against itself and against the checkpoints. Returns the hashes that events were bound to."""
    shas: dict[str, dict[int, bytes]] = {}
    newest = known.newest.wordings if known.newest else {}
    waiting = dict(known.wordings)
    filed: dict[tuple[str, int], str] = {}
    shown: dict[Shown, str] = {}
    for wording in wordings:
        sealed = waiting.pop(wording.name, None)
        if sealed is None and wording.id <= newest.get(wording.table, 0):
            findings.add(Fault(FaultKind.WORDING_SLIPPED_IN, wording=wording.name))
        elif wording.found != wording.sha256 or sealed not in (None, wording.sha256.hex()):
            findings.add(Fault(FaultKind.WORDING_CHANGED, wording=wording.name))
        else:
            shown |= dict.fromkeys(wording.shows, wording.name)
        if wording.filed is not None:
            filed[wording.table, wording.id] = wording.filed
        # What was published decides about the events: one changed text is one fault, not one for each who agreed.
        shas.setdefault(wording.table, {})[wording.id] = bytes.fromhex(sealed) if sealed else wording.sha256
    for name, sealed in waiting.items():
        table, _, number = name.partition("/")
        shas.setdefault(table, {})[int(number)] = bytes.fromhex(sealed)
        findings.add(Fault(FaultKind.WORDING_MISSING, wording=name))
    _check_filed(shown, filed, findings)
    return shas


def _check_filed(shown: Mapping[Shown, str], filed: Mapping[tuple[str, int], str], findings: Findings) -> None:
    at_fault = set()
    for one, form in shown.items():
        place = (one.table, one.id)
        if place in filed and filed[place] != one.filed and place not in at_fault:
            at_fault.add(place)
            detail = f"it is filed under {filed[place]}; {form} shows it as {one.filed}"
            findings.add(Fault(FaultKind.WORDING_CHANGED, wording=f"{one.table}/{one.id}", detail=detail))
