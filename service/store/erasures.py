"""Erasing rows: what of a person is deleted, emptied or cut loose, table by table (the matrix of D-15).

Nothing here decides; `usecases/erasing.py` and `usecases/retaining.py` do. A new column that holds something personal
is added here, and `tests/usecases/test_erasing.py` fails until it is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from service.domain.erasures import Erased, Line
from service.store.schema import Erasure, SubjectKey, Subscriber
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Person:
    """By what the rows of one person are found. `subscriber_id` 0: an address that is no subscriber's."""

    subscriber_id: int
    dedupe_key: str | None = None
    address_hmac: bytes | None = None


@dataclass(frozen=True, slots=True)
class Emptied:
    """What a restored backup could bring back apart from the subscriber."""

    signup_ids: tuple[int, ...]
    import_rows: tuple[tuple[int, int], ...]


def lock_person(tx: Transaction, subscriber_id: int) -> Person | None:
    """The subscriber, with everybody else waiting, also those who are just planning mail to this reader."""
    # Sign-ups before the subscriber: who decides about them takes the locks in this order.
    tx.session.execute(
        text(
            "SELECT g.id FROM signups g JOIN subscribers s ON s.address_hmac = g.address_hmac "
            "WHERE s.id = :id ORDER BY g.id FOR UPDATE OF g"
        ),
        {"id": subscriber_id},
    )
    found = tx.session.scalar(
        select(Subscriber)
        .where(Subscriber.id == subscriber_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return Person(found.id, found.dedupe_key, found.address_hmac) if found else None


def cancel_mail(tx: Transaction, person: Person) -> list[UUID]:
    """Nothing that has not left leaves any more. Returns the workers that have mail to this person on the wire."""
    values = {"subscriber": person.subscriber_id, "key": person.dedupe_key, "now": tx.now}
    tx.session.execute(text(_CANCEL), values)
    return list(tx.session.scalars(text(_HOLDERS), values))


_OF_PERSON = "(d.subscriber_id = :subscriber OR lower(d.test_address) = :key)"
_CANCEL = f"UPDATE deliveries d SET status = 'cancelled', finished_at = :now WHERE d.status = 'queued' AND {_OF_PERSON}"  # noqa: S608 - our own words
_HOLDERS = f"SELECT DISTINCT d.claimed_by FROM deliveries d WHERE d.status = 'sending' AND {_OF_PERSON}"  # noqa: S608


def forget(tx: Transaction, person: Person, *, by_wish: bool = True) -> Emptied:
    """Delete, empty or cut loose everything that could tell who the person was.

    Consent events stay, whose personal part nobody can open any more, and suppressions, and rows that only count. Where
    nobody wished it and only a time was over, rows in the quarantine of an import stay as well.
    """
    values = {
        "subscriber": person.subscriber_id,
        "key": person.dedupe_key,
        "hmac": person.address_hmac,
        "now": tx.now,
        "by_wish": by_wish,
    }
    signups = tx.session.scalars(text(_EMPTY_SIGNUPS), values).all()
    rows = tx.session.execute(text(_EMPTY_IMPORT_ROWS), values).all()
    for statement in _FORGET:
        tx.session.execute(text(statement), values)
    return Emptied(tuple(sorted(signups)), tuple(sorted((row.import_id, row.line) for row in rows)))


EMPTIED_SIGNUP = """
    address = NULL, entered = NULL, dedupe_key = NULL, address_hmac = NULL, first_name = NULL,
    page_url = NULL, ip = NULL, user_agent = NULL,
    state = CASE WHEN state IN ('received', 'asked', 'held') THEN 'expired' ELSE state END
"""
"""What is left of a sign-up counts against list bombing for a month, and shows nobody (D-18)."""

_EMPTY_SIGNUPS = f"""
UPDATE signups SET {EMPTIED_SIGNUP}
WHERE (subscriber_id = :subscriber OR address_hmac = :hmac) AND address IS NOT NULL RETURNING id
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
WHERE (subscriber_id = :subscriber OR address_hmac = :hmac) AND (:by_wish OR admitted_at IS NOT NULL)
RETURNING import_id, line
"""  # noqa: S608 - our own words
# The order follows the foreign keys. A relay's words may quote the address that it was given, also as the new one of
# somebody else's change. A delivery keeps its status: it counts in its campaign's report.
_FORGET = (
    "DELETE FROM mailed_articles WHERE subscriber_id = :subscriber",
    "DELETE FROM subscriber_topics WHERE subscriber_id = :subscriber",
    "DELETE FROM subscriptions WHERE subscriber_id = :subscriber",
    "DELETE FROM confirmation_mails WHERE subscriber_id = :subscriber",
    f"UPDATE attempts a SET text = '' FROM deliveries d WHERE d.id = a.delivery_id AND a.text <> '' AND {_OF_PERSON}",  # noqa: S608
    """
    UPDATE attempts a SET text = '' FROM deliveries d JOIN address_changes h ON h.id = d.address_change_id
    WHERE d.id = a.delivery_id AND h.address_hmac = :hmac
    """,
    f"""
    UPDATE deliveries d SET subscriber_id = NULL, test_address = NULL, test_language = NULL, erased_at = :now,
        address_change_id = NULL
    WHERE {_OF_PERSON}
    """,  # noqa: S608
    "DELETE FROM address_changes WHERE subscriber_id = :subscriber OR address_hmac = :hmac",
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


def list_fingerprints(tx: Transaction, erased: Erased) -> list[bytes]:
    """Of the addresses that sign-ups and import rows of this line still hold."""
    return list(
        tx.session.scalars(
            text(
                """
                SELECT address_hmac FROM signups
                WHERE id = ANY(:signups) AND address_hmac IS NOT NULL AND created_at <= :before
                UNION SELECT r.address_hmac
                FROM import_rows r JOIN unnest(CAST(:imports AS bigint[]), CAST(:lines AS int[])) AS g(import_id, line)
                    ON r.import_id = g.import_id AND r.line = g.line
                WHERE r.address_hmac IS NOT NULL
                """
            ),
            {
                "signups": list(erased.signup_ids),
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
                """
                SELECT EXISTS (SELECT FROM signups WHERE address_hmac = :hmac)
                    OR EXISTS (SELECT FROM import_rows WHERE address_hmac = :hmac AND sealed IS NOT NULL)
                    OR EXISTS (SELECT FROM address_changes WHERE address_hmac = :hmac)
                    OR EXISTS (SELECT FROM deliveries WHERE lower(test_address) = :key)
                """
            ),
            {"hmac": person.address_hmac, "key": person.dedupe_key},
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
