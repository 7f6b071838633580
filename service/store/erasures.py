"""Erasing rows: what of a person is deleted, emptied or cut loose, table by table (the matrix of D-15).

Nothing here decides; `usecases/erasing.py` and `usecases/retaining.py` do. A new column that holds something personal
is added here, and `tests/usecases/test_erasing.py` fails until it is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from service.domain.erasures import Erased, Line
from service.store.address_changes import EMPTIED_CHANGE
from service.store.former_addresses import NOT_TAKEN, list_former
from service.store.schema import Erasure, SubjectKey, Subscriber
from service.store.subscribers import lock_readers
from service.store.transaction import Transaction

NO_SUBSCRIBER = 0
"""Where a number is asked for and the address is no subscriber's."""


@dataclass(frozen=True, slots=True)
class Person:
    """By what the rows of one person are found."""

    subscriber_id: int
    dedupe_key: str | None = None
    fingerprints: tuple[bytes, ...] = ()
    """Of the address, and of those that the person left for it."""


@dataclass(frozen=True, slots=True)
class Emptied:
    """What a restored backup could bring back apart from the subscriber, emptied before or only now."""

    signup_ids: tuple[int, ...]
    import_rows: tuple[tuple[int, int], ...]
    delivery_ids: tuple[int, ...]
    """Mails that name the address themselves: to test with, or to ask it about a change."""
    change_ids: tuple[int, ...]


def lock_person(tx: Transaction, subscriber_id: int) -> Person | None:
    """The subscriber, with everybody else waiting, also those who are just planning mail to this reader."""
    lock_readers(tx)
    # Sign-ups before the subscriber: who decides about them takes the locks in this order.
    tx.session.execute(
        text(
            f"""
            SELECT g.id FROM signups g
            WHERE g.address_hmac IN (
                SELECT s.address_hmac FROM subscribers s WHERE s.id = :id
                UNION SELECT f.address_hmac FROM former_addresses f WHERE f.subscriber_id = :id AND {NOT_TAKEN})
            ORDER BY g.id FOR UPDATE OF g
            """  # noqa: S608 - our own words
        ),
        {"id": subscriber_id},
    )
    found = tx.session.scalar(
        select(Subscriber)
        .where(Subscriber.id == subscriber_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        return None
    return Person(found.id, found.dedupe_key, (found.address_hmac, *list_former(tx, subscriber_id)))


def lock_received(tx: Transaction, address_hmac: bytes) -> None:
    """Sign-ups that a worker may be deciding about: it locks them before the mailbox, so whoever erases does, too."""
    tx.session.execute(
        text("SELECT FROM signups WHERE address_hmac = :hmac AND state = 'received' ORDER BY id FOR UPDATE"),
        {"hmac": address_hmac},
    )


def cancel_mail(tx: Transaction, person: Person) -> list[UUID]:
    """Nothing that has not left leaves any more. Returns the workers that have mail to this person on the wire."""
    values = _values(tx, person)
    tx.session.execute(text(_CANCEL), values)
    return list(tx.session.scalars(text(_HOLDERS), values))


def _values(tx: Transaction, person: Person) -> dict[str, Any]:
    # Their ids first: a subquery under OR would keep PostgreSQL from using the indexes of deliveries.
    hmacs = list(person.fingerprints)
    to_them = f"SELECT id FROM address_changes WHERE address_hmac = {_HMACS}"  # noqa: S608 - our own words
    changes = tx.session.scalars(text(to_them), {"hmacs": hmacs})
    return {
        "changes_to": changes.all(),
        "subscriber": person.subscriber_id,
        "key": person.dedupe_key,
        "hmacs": hmacs,
        "now": tx.now,
    }


_HMACS = "ANY(CAST(:hmacs AS bytea[]))"
# Tests name their address themselves; the mail about a change goes to the new address, whoever asked for it.
_TO_ADDRESS = """(
    lower(d.test_address) = :key
    OR d.address_change_id = ANY(CAST(:changes_to AS bigint[]))
)"""
_OF_PERSON = f"(d.subscriber_id = :subscriber OR {_TO_ADDRESS})"
_CANCEL = f"UPDATE deliveries d SET status = 'cancelled', finished_at = :now WHERE d.status = 'queued' AND {_OF_PERSON}"  # noqa: S608
_HOLDERS = f"SELECT DISTINCT d.claimed_by FROM deliveries d WHERE d.status = 'sending' AND {_OF_PERSON}"  # noqa: S608


def forget(tx: Transaction, person: Person, *, by_wish: bool = True) -> Emptied:
    """Delete, empty or cut loose everything that could tell who the person was.

    Consent events stay, whose personal part nobody can open any more, and suppressions, and rows that only count. Where
    nobody wished it and only a time was over, rows in the quarantine of an import stay as well.
    """
    values = _values(tx, person) | {"by_wish": by_wish}
    deliveries = tx.session.scalars(text(_LIST_MAILS_TO_ADDRESS), values).all()
    changes = tx.session.scalars(text(_LIST_CHANGES), values).all()
    signups = tx.session.scalars(text(_EMPTY_SIGNUPS), values).all()
    rows = tx.session.execute(text(_EMPTY_IMPORT_ROWS), values).all()
    for statement in _FORGET:
        tx.session.execute(text(statement), values)
    import_rows = tuple(sorted((row.import_id, row.line) for row in rows))
    return Emptied(tuple(sorted(signups)), import_rows, tuple(sorted(deliveries)), tuple(sorted(changes)))


_LIST_MAILS_TO_ADDRESS = f"SELECT d.id FROM deliveries d WHERE {_TO_ADDRESS}"  # noqa: S608
_OF_CHANGES = f"(h.subscriber_id = :subscriber OR h.address_hmac = {_HMACS})"
_LIST_CHANGES = f"SELECT h.id FROM address_changes h WHERE {_OF_CHANGES}"  # noqa: S608
EMPTIED_SIGNUP = """
    address = NULL, entered = NULL, dedupe_key = NULL, address_hmac = NULL, first_name = NULL,
    page_url = NULL, ip = NULL, user_agent = NULL,
    state = CASE WHEN state IN ('received', 'asked', 'held') THEN 'expired' ELSE state END
"""
"""What is left of a sign-up counts against list bombing for a month, and shows nobody (D-18)."""

_EMPTY_SIGNUPS = f"""
UPDATE signups SET {EMPTIED_SIGNUP}
WHERE subscriber_id = :subscriber OR address_hmac = {_HMACS} RETURNING id
"""  # noqa: S608 - our own words
EMPTIED_IMPORT_ROW = """
    sealed = NULL, subscriber_id = NULL, signup_id = NULL,
    address_hmac = CASE WHEN verdict = 'needs_confirming' AND admitted_at IS NOT NULL THEN address_hmac END
"""
"""What is left of an imported row counts. The fingerprint of who was asked stays: nobody is asked twice (D-07)."""

_FORGOTTEN_IMPORT_ROW = f"""
    {EMPTIED_IMPORT_ROW},
    verdict = CASE WHEN admitted_at IS NULL AND sealed IS NOT NULL THEN 'suppressed' ELSE verdict END,
    reason = CASE WHEN admitted_at IS NULL AND sealed IS NOT NULL THEN 'erased' ELSE reason END
"""
_EMPTY_IMPORT_ROWS = f"""
UPDATE import_rows SET {_FORGOTTEN_IMPORT_ROW}
WHERE (subscriber_id = :subscriber OR address_hmac = {_HMACS}) AND (:by_wish OR admitted_at IS NOT NULL)
RETURNING import_id, line
"""  # noqa: S608 - our own words
# The order follows the foreign keys. A relay's words may quote the address that it was given, also as the new one of
# somebody else's change. A delivery keeps its status: it counts in its campaign's report.
_FORGET = (
    "DELETE FROM mailed_articles WHERE subscriber_id = :subscriber",
    "DELETE FROM subscriber_topics WHERE subscriber_id = :subscriber",
    "DELETE FROM subscriptions WHERE subscriber_id = :subscriber",
    "DELETE FROM confirmation_mails WHERE subscriber_id = :subscriber",
    # And what somebody else's change asked this address, under that reader's key.
    f"DELETE FROM confirmation_mails m USING deliveries d WHERE d.id = m.delivery_id AND {_TO_ADDRESS}",  # noqa: S608
    f"UPDATE attempts a SET text = '' FROM deliveries d WHERE d.id = a.delivery_id AND a.text <> '' AND {_OF_PERSON}",  # noqa: S608
    # Somebody else's question to this address stays theirs: it counts among what they were allowed to ask.
    """
    UPDATE deliveries d SET subscriber_id = NULL, test_address = NULL, test_language = NULL, erased_at = :now,
        address_change_id = NULL
    WHERE d.subscriber_id = :subscriber OR lower(d.test_address) = :key
    """,
    # Somebody else's change to this address counts on against them, and shows nobody; a time that is over ends none.
    f"""
    UPDATE address_changes h SET {EMPTIED_CHANGE}, expires_at = least(h.expires_at, :now)
    WHERE :by_wish AND h.subscriber_id <> :subscriber AND h.address_hmac = {_HMACS}
    """,  # noqa: S608
    "DELETE FROM address_changes WHERE subscriber_id = :subscriber",
    "DELETE FROM former_addresses WHERE subscriber_id = :subscriber",
    "DELETE FROM subject_keys WHERE subscriber_id = :subscriber",
    "DELETE FROM subscribers WHERE id = :subscriber",
)


def empty_signups(tx: Transaction, signup_ids: Collection[int], before: datetime) -> None:
    """Those that a backup brought back: by id, and only if made before then."""
    tx.session.execute(
        text(f"UPDATE signups SET {EMPTIED_SIGNUP} WHERE id = ANY(:ids) AND created_at <= :before"),  # noqa: S608
        {"ids": list(signup_ids), "before": before},
    )


def empty_import_rows(tx: Transaction, rows: Collection[tuple[int, int]]) -> None:
    tx.session.execute(
        text(
            f"""
            UPDATE import_rows r SET {_FORGOTTEN_IMPORT_ROW}
            FROM unnest(CAST(:imports AS bigint[]), CAST(:lines AS int[])) AS g(import_id, line)
            WHERE r.import_id = g.import_id AND r.line = g.line
            """  # noqa: S608 - our own words
        ),
        {"imports": [row[0] for row in rows], "lines": [row[1] for row in rows]},
    )


def empty_mails(tx: Transaction, erased: Erased) -> None:
    """Mails that named the address themselves, and changes of address, as far as a backup brought them back."""
    values = {"mails": list(erased.delivery_ids), "changes": list(erased.change_ids), "before": erased.erased_at}
    for statement in _EMPTY_MAILS:
        tx.session.execute(text(statement), values | {"now": tx.now})


_EMPTY_MAILS = (
    """
    DELETE FROM confirmation_mails m USING deliveries d
    WHERE d.id = m.delivery_id AND d.id = ANY(:mails) AND d.created_at <= :before
    """,
    """
    UPDATE attempts a SET text = '' FROM deliveries d
    WHERE d.id = a.delivery_id AND a.text <> '' AND d.id = ANY(:mails) AND d.created_at <= :before
    """,
    """
    UPDATE deliveries SET test_address = NULL, test_language = NULL, erased_at = :now,
        status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
        finished_at = coalesce(finished_at, :now)
    WHERE id = ANY(:mails) AND test_address IS NOT NULL AND created_at <= :before
    """,
    """
    UPDATE deliveries SET status = 'cancelled', finished_at = :now
    WHERE id = ANY(:mails) AND address_change_id IS NOT NULL AND status = 'queued' AND created_at <= :before
    """,
    f"""
    UPDATE address_changes SET {EMPTIED_CHANGE}, expires_at = least(expires_at, :now)
    WHERE id = ANY(:changes) AND created_at <= :before
    """,  # noqa: S608 - our own words
)


def list_fingerprints(tx: Transaction, erased: Erased) -> list[bytes]:
    """Of the addresses that sign-ups, changes of address and import rows of this line still hold.

    Without those that the person only asked to move to, and those that a living reader has agreed with.
    """
    return list(
        tx.session.scalars(
            text(
                """
                SELECT f.hmac FROM (
                SELECT address_hmac AS hmac FROM signups
                WHERE id = ANY(:signups) AND address_hmac IS NOT NULL AND created_at <= :before
                UNION SELECT address_hmac FROM address_changes
                WHERE id = ANY(:changes) AND created_at <= :before AND address_hmac <> ''
                  AND subscriber_id IS DISTINCT FROM :subscriber
                UNION SELECT r.address_hmac
                FROM import_rows r JOIN unnest(CAST(:imports AS bigint[]), CAST(:lines AS int[])) AS g(import_id, line)
                    ON r.import_id = g.import_id AND r.line = g.line
                WHERE r.address_hmac IS NOT NULL) f
                WHERE NOT EXISTS (
                    SELECT FROM subscribers o JOIN subscriptions b ON b.subscriber_id = o.id
                    WHERE o.address_hmac = f.hmac AND o.id IS DISTINCT FROM :subscriber AND b.given_at IS NOT NULL)
                """
            ),
            {
                "subscriber": erased.subscriber_id,
                "signups": list(erased.signup_ids),
                "changes": list(erased.change_ids),
                "before": erased.erased_at,
                "imports": [row[0] for row in erased.import_rows],
                "lines": [row[1] for row in erased.import_rows],
            },
        )
    )


def is_held(tx: Transaction, person: Person) -> bool:
    """Whether anything apart from a subscriber still holds this address."""
    return bool(
        tx.session.scalar(
            text(
                f"""
                SELECT EXISTS (SELECT FROM signups WHERE address_hmac = {_HMACS})
                    OR EXISTS (SELECT FROM import_rows WHERE address_hmac = {_HMACS} AND sealed IS NOT NULL)
                    OR EXISTS (SELECT FROM address_changes WHERE address_hmac = {_HMACS})
                    OR EXISTS (SELECT FROM deliveries WHERE lower(test_address) = :key)
                """  # noqa: S608 - our own words
            ),
            _values(tx, person),
        )
    )


def add_erasure(tx: Transaction, line: Line) -> None:
    """The same as stands in the log."""
    erased = line.erased
    tx.session.add(
        Erasure(
            number=erased.number,
            subscriber_id=erased.subscriber_id,
            erased_at=erased.erased_at,
            line_sha256=line.sha256,
        )
    )
    tx.session.flush()


def find_newest(tx: Transaction) -> Erasure | None:
    return tx.session.scalar(select(Erasure).order_by(Erasure.number.desc()).limit(1))


def find_erasure(tx: Transaction, number: int) -> Erasure | None:
    return tx.session.get(Erasure, number)


def find_number(tx: Transaction, subscriber_id: int) -> int | None:
    """Of this subscriber's erasure."""
    return tx.session.scalar(select(Erasure.number).where(Erasure.subscriber_id == subscriber_id))


def list_returned(tx: Transaction, subscriber_ids: Sequence[int]) -> frozenset[int]:
    """Those of these subjects of whom the database holds something that only a living subject has."""
    known = select(Subscriber.id).where(Subscriber.id.in_(subscriber_ids))
    keys = select(SubjectKey.subscriber_id).where(SubjectKey.subscriber_id.in_(subscriber_ids))
    return frozenset(tx.session.scalars(known.union(keys)))


def find_created_at(tx: Transaction, subscriber_id: int) -> datetime | None:
    return tx.session.scalar(select(Subscriber.created_at).where(Subscriber.id == subscriber_id))
