"""The record of a consent event: what of it is hashed, in the one place that spells it, for writing and for checking.

It holds every column of `consent_events` but `id`, with the hashes of wordings and of the encrypted part instead of
their ids and bytes.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from service.domain.ledger import SCHEMA_VERSION, Record, spell_time


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


def _hex(digest: bytes | None) -> str | None:
    return digest.hex() if digest is not None else None
