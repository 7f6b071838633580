"""The record of a consent event: what of it is hashed, in the one place that spells it, for writing and for checking.

It holds every column of `consent_events` but `id`, with the hashes of wordings and of the encrypted part instead of
their ids and bytes.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from service.domain.ledger import SCHEMA_VERSION, Record, event_hash, spell_time

Row = Mapping[str, Any]
"""The columns of `consent_events`."""
Shas = Mapping[str, Mapping[int, bytes]]
"""Table → id → hash of a wording, as it was published."""
HashOf = Callable[[Row], bytes | None]


def record_of(row: Mapping[str, Any], shas: Mapping[str, bytes | None]) -> Record:
    """What of an event is hashed. `row` has the columns of `consent_events`; `shas` the hashes of its wordings."""
    return {
        "v": SCHEMA_VERSION,
        "record": str(row["record_id"]),
        "subject": row["subscriber_id"],
        "seq": row["seq"],
        "list": row["list_id"],
        "purpose": str(row["purpose"]),
        "state": str(row["state"]),
        "channel": str(row["channel"]),
        "basis": str(row["lawful_basis"]),
        "occurred": spell_time(row["occurred_at"]),
        "recorded": spell_time(row["recorded_at"]),
        "signup": row["signup_id"],
        "statement": _hex(shas["statement"]),
        "notice": _hex(shas["notice"]),
        "form": _hex(shas["form"]),
        "context": _hex(shas["context"]),
        "delivery": row["delivery_id"],
        "actor": row["actor"],
        "scanner": row["suspect_scanner"],
        "address_hmac": _hex(row["address_hmac"]),
        "address_version": row["address_version"],
        "personal": sha256(row["personal"]).hexdigest(),
        "prev": row["prev_hash"].hex(),
    }


def hashing_with(shas: Shas) -> HashOf:
    """Makes an event's hash again from what it says; None for what could never have been written."""

    def sha(table: str, number: int | None) -> bytes | None:
        """Nothing is known of a wording that is not there; that is not the same as none having been shown."""
        return None if number is None else shas.get(table, {}).get(number, b"")

    def hash_of(row: Row) -> bytes | None:
        wordings = {
            "statement": sha("statements", row["statement_id"]),
            "notice": sha("notices", row["notice_id"]),
            "form": sha("forms", row["form_id"]),
            "context": sha("contexts", row["context_id"]),
        }
        try:
            return event_hash(record_of(row, wordings))
        except (TypeError, AttributeError, ValueError, OverflowError):  # somebody lifted the table's constraints, too
            return None

    return hash_of


def _hex(digest: bytes | None) -> str | None:
    return digest.hex() if digest is not None else None
