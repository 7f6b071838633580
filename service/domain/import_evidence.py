"""What an import leaves as evidence: in the events of its readers, beside its rows, in its standing orders (D1 #18)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.domain.import_rows import RowRead
from service.domain.ledger import spell_time


def describe_file(
    *,
    import_id: int,
    source_system: str,
    operator: str,
    imported_at: datetime,
    file_sha256: bytes,
    attestation: str,
) -> dict[str, Any]:
    """Where a row came from, and who vouched for it."""
    return {
        "id": import_id,
        "source_system": source_system,
        "imported_by": operator,
        "imported_at": spell_time(imported_at),
        "file_sha256": file_sha256.hex(),
        "attestation": attestation,
    }


def describe_row(
    file: Mapping[str, Any], line: int, original_row: Mapping[str, str], read: Mapping[str, Any]
) -> dict[str, Any]:
    """For the personal part of an event: the file, and the row as it stood there and as it was read."""
    return {
        "address_as_entered": read["entered"],
        "import": {**file, "line": line, "original_row": dict(original_row), "read": dict(read)},
    }


def spell_read(read: RowRead) -> dict[str, Any]:
    """What was read from a row, as JSON."""
    return {
        "entered": read.entered,
        "address": read.address.address if read.address else None,
        "status": read.status or None,
        "first_name": read.first_name,
        "language": read.language.value,
        "topic_ids": list(read.topic_ids),
        "purposes": [purpose.value for purpose in read.purposes],
        "consent_at": spell_time(read.consent_at) if read.consent_at else None,
        "confirmed_at": spell_time(read.confirmed_at) if read.confirmed_at else None,
        "consent_source": read.consent_source,
        "consent_ip": read.consent_ip,
        "statement_text": read.statement_text,
    }


def row_place(import_id: int, line: int) -> bytes:
    """What a row in quarantine is bound to when it is encrypted."""
    return f"import {import_id} line {line}".encode()


def order_source(import_id: int) -> str:
    """What a standing order says about where it comes from."""
    return f"import {import_id}"
