"""In how many keys the fingerprints of addresses are wrapped, and wrapping them once more (D-16)."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, insert, select, text

from service.store.schema import AddressKeyVersion
from service.store.transaction import Transaction


def get_version(tx: Transaction) -> int:
    """Of every fingerprint outside the ledger. The database itself writes it beside new ones."""
    return int(tx.session.scalars(select(func.current_address_version())).one())


@dataclass(frozen=True, slots=True)
class _Place:
    """A column of fingerprints; `versioned`: its table keeps the version beside it."""

    table: str
    column: str
    versioned: bool = False


PLACES = (
    _Place("subscribers", "address_hmac", versioned=True),
    _Place("suppressions", "address_hmac", versioned=True),
    _Place("signups", "address_hmac"),
    _Place("signups", "abuse_hmac"),
    _Place("signups", "domain_hmac"),
    _Place("address_changes", "address_hmac"),
    _Place("address_changes", "abuse_hmac"),
    _Place("former_addresses", "address_hmac"),
    _Place("import_rows", "address_hmac"),
)
"""All but the consent events: these are evidence, never change, and say their version themselves."""
BATCH = 10_000


def wrap(tx: Transaction, rewrap: Callable[[bytes], bytes], version: int) -> dict[str, int]:
    """Wrap every fingerprint, all in this transaction, with everybody else kept out. Returns rows by column."""
    tables = ", ".join(sorted({place.table for place in PLACES}))
    tx.session.execute(text("SET LOCAL statement_timeout = 0"))
    tx.session.execute(text(f"LOCK TABLE {tables} IN EXCLUSIVE MODE"))
    wrapped = {f"{place.table}.{place.column}": _wrap(tx, place, rewrap, version) for place in PLACES}
    tx.session.execute(insert(AddressKeyVersion), [{"version": version, "since": tx.now}])
    return wrapped


def _wrap(tx: Transaction, place: _Place, rewrap: Callable[[bytes], bytes], version: int) -> int:
    """By a temporary table of old and new: few distinct fingerprints, many rows, one pass over each. What was emptied
    (NULL, or nothing) stays so."""
    tx.session.execute(text("DROP TABLE IF EXISTS rewrapped"))
    tx.session.execute(text("CREATE TEMPORARY TABLE rewrapped (old bytea PRIMARY KEY, new bytea) ON COMMIT DROP"))
    olds = tx.session.scalars(
        text(f"SELECT DISTINCT {place.column} FROM {place.table} WHERE {place.column} <> ''")  # noqa: S608 - ours
    )
    for batch in olds.partitions(BATCH):
        tx.session.execute(
            text("INSERT INTO rewrapped SELECT * FROM unnest(CAST(:old AS bytea[]), CAST(:new AS bytea[]))"),
            {"old": list(batch), "new": [rewrap(old) for old in batch]},
        )
    version_too = f", address_version = {version:d}" if place.versioned else ""
    done = tx.session.execute(
        text(
            f"UPDATE {place.table} t SET {place.column} = r.new{version_too} "  # noqa: S608 - our own names
            f"FROM rewrapped r WHERE r.old = t.{place.column}"
        ),
        execution_options={"preserve_rowcount": True},
    )
    return int(done.rowcount)  # type: ignore[attr-defined]


def missing_keys(stored: int, given: int) -> str:
    """What to say when the database has gone through more keys than the settings name."""
    return (
        f"The fingerprints of addresses have gone through {stored} keys, the settings name {given}; nothing was "
        "started or changed. Put back what stood in MILEPOST_ADDRESS_KEYS: without it no suppression matches."
    )
