"""What is held, in numbers only, and who was held or touched at a time: for reports and for a breach (D-21, D-23)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from service.store.erasures import Person
from service.store.transaction import Transaction

_COUNTS = {
    "readers": "SELECT count(*) FROM subscribers",
    "readers_with_consent_in_force": "SELECT count(DISTINCT subscriber_id) FROM subscriptions WHERE state = 'active'",
    "readers_not_confirmed": (
        "SELECT count(*) FROM subscribers s WHERE NOT EXISTS (SELECT FROM subscriptions b "
        "WHERE b.subscriber_id = s.id AND b.given_at IS NOT NULL)"
    ),
    "consent_events": "SELECT count(*) FROM consent_events",
    "keys_of_proofs": "SELECT count(*) FROM subject_keys",
    "confirmation_mails": "SELECT count(*) FROM confirmation_mails",
    "sign_ups_with_an_address": "SELECT count(*) FROM signups WHERE address IS NOT NULL",
    "sign_ups_that_only_count": "SELECT count(*) FROM signups WHERE address IS NULL",
    "mails_that_name_a_reader": "SELECT count(*) FROM deliveries WHERE subscriber_id IS NOT NULL",
    "mails_cut_loose": "SELECT count(*) FROM deliveries WHERE erased_at IS NOT NULL",
    "answers_of_the_relay": "SELECT count(*) FROM attempts WHERE text <> ''",
    "articles_counted_as_mailed": "SELECT count(*) FROM mailed_articles",
    "fingerprints_of_addresses_left": "SELECT count(*) FROM former_addresses",
    "address_changes_waiting": "SELECT count(*) FROM address_changes WHERE address <> ''",
    "address_changes_that_only_count": "SELECT count(*) FROM address_changes WHERE address = ''",
    "imported_rows_with_text": "SELECT count(*) FROM import_rows WHERE sealed IS NOT NULL",
    "imported_rows_with_a_fingerprint": "SELECT count(*) FROM import_rows WHERE address_hmac IS NOT NULL",
    "imports": "SELECT count(*) FROM imports",
    "suppressions_in_force": "SELECT count(*) FROM suppressions WHERE lifted_at IS NULL",
    "erasures": "SELECT count(*) FROM erasures",
}


def count_held(tx: Transaction) -> dict[str, int]:
    """What the whole database holds."""
    one = ", ".join(f'({query}) AS "{name}"' for name, query in _COUNTS.items())
    return {name: int(number) for name, number in tx.session.execute(text(f"SELECT {one}")).mappings().one().items()}


_OF_PERSON = {
    "profile": "SELECT count(*) FROM subscribers WHERE id = :subscriber",
    "subscriptions": "SELECT count(*) FROM subscriptions WHERE subscriber_id = :subscriber",
    "topics": "SELECT count(*) FROM subscriber_topics WHERE subscriber_id = :subscriber",
    "key_of_the_proof": "SELECT count(*) FROM subject_keys WHERE subscriber_id = :subscriber",
    "confirmation_mails": "SELECT count(*) FROM confirmation_mails WHERE subscriber_id = :subscriber",
    "sign_ups": (
        "SELECT count(*) FROM signups WHERE address IS NOT NULL "
        "AND (subscriber_id = :subscriber OR address_hmac = ANY(CAST(:hmacs AS bytea[])))"
    ),
    "queued_mails": "SELECT count(*) FROM deliveries WHERE subscriber_id = :subscriber AND status = 'queued'",
    "mails_in_the_send_log": "SELECT count(*) FROM deliveries WHERE subscriber_id = :subscriber",
    "test_mails": "SELECT count(*) FROM deliveries WHERE lower(test_address) = :key",
    "articles_counted_as_mailed": "SELECT count(*) FROM mailed_articles WHERE subscriber_id = :subscriber",
    "former_addresses": "SELECT count(*) FROM former_addresses WHERE subscriber_id = :subscriber",
    "address_changes": (
        "SELECT count(*) FROM address_changes "
        "WHERE subscriber_id = :subscriber OR address_hmac = ANY(CAST(:hmacs AS bytea[]))"
    ),
    "imported_rows": (
        "SELECT count(*) FROM import_rows WHERE sealed IS NOT NULL "
        "AND (subscriber_id = :subscriber OR address_hmac = ANY(CAST(:hmacs AS bytea[])))"
    ),
}


def count_of_person(tx: Transaction, person: Person) -> dict[str, int]:
    """What an erasure would delete, empty or cut loose."""
    one = ", ".join(f'({query}) AS "{name}"' for name, query in _OF_PERSON.items())
    values = {"subscriber": person.subscriber_id, "key": person.dedupe_key, "hmacs": list(person.fingerprints)}
    row = tx.session.execute(text(f"SELECT {one}"), values).mappings().one()
    return {name: int(number) for name, number in row.items()}


def list_held_between(tx: Transaction, since: datetime, until: datetime) -> Sequence[int]:
    """Every subject of whom something was held at some moment of the window, also who was erased within it or later."""
    return tx.session.scalars(
        text(
            """
            SELECT id FROM subscribers WHERE created_at <= :until
            UNION
            SELECT x.subscriber_id FROM erasures x
            WHERE x.erased_at >= :since AND EXISTS (
                SELECT FROM consent_events e WHERE e.subscriber_id = x.subscriber_id AND e.recorded_at <= :until)
            ORDER BY 1
            """
        ),
        {"since": since, "until": until},
    ).all()


def list_touched_between(tx: Transaction, since: datetime, until: datetime, actor: str | None = None) -> Sequence[int]:
    """Every subject whom the audit log names in the window, by whichever id it names them; `actor`: one operator's."""
    return tx.session.scalars(
        text(
            """
            WITH acts AS (
                SELECT details FROM audit_entries
                WHERE at >= :since AND at <= :until AND (CAST(:actor AS text) IS NULL OR actor = :actor)
            )
            SELECT CAST(details ->> 'subscriber_id' AS bigint) FROM acts WHERE details ? 'subscriber_id'
            UNION
            SELECT CAST(jsonb_array_elements_text(details -> 'subjects') AS bigint) FROM acts
            WHERE jsonb_typeof(details -> 'subjects') = 'array'
            UNION
            SELECT g.subscriber_id FROM acts
            CROSS JOIN LATERAL jsonb_array_elements_text(
                CASE WHEN jsonb_typeof(details -> 'signup_ids') = 'array' THEN details -> 'signup_ids' ELSE '[]' END
            ) AS named(id)
            JOIN signups g ON g.id = CAST(named.id AS bigint) WHERE g.subscriber_id IS NOT NULL
            UNION
            SELECT r.subscriber_id FROM acts JOIN import_rows r ON r.import_id = CAST(details ->> 'import_id' AS bigint)
            WHERE r.subscriber_id IS NOT NULL
            ORDER BY 1
            """
        ),
        {"since": since, "until": until, "actor": actor},
    ).all()


def list_addresses(tx: Transaction, subscriber_ids: Sequence[int]) -> dict[int, str]:
    """Of those who are not erased."""
    rows = tx.session.execute(
        text("SELECT id, address FROM subscribers WHERE id = ANY(:ids) ORDER BY id"), {"ids": list(subscriber_ids)}
    )
    return {row.id: row.address for row in rows}


def count_acts(tx: Transaction, since: datetime) -> dict[str, int]:
    """What operators did with personal data since then, by act."""
    rows = tx.session.execute(
        text("SELECT act, count(*) AS number FROM audit_entries WHERE at >= :since GROUP BY act ORDER BY act"),
        {"since": since},
    )
    return {row.act: row.number for row in rows}


def count_suppressions(tx: Transaction) -> dict[str, int]:
    """Orders in force, by reason."""
    rows = tx.session.execute(
        text("SELECT reason, count(*) AS number FROM suppressions WHERE lifted_at IS NULL GROUP BY reason ORDER BY 1")
    )
    return {row.reason: row.number for row in rows}


@dataclass(frozen=True, slots=True)
class Sealed:
    """How far the ledger is sealed. All None or 0 before the first checkpoint."""

    checkpoint: int | None
    sealed_at: datetime | None
    events: int
    events_since: int


def get_sealed(tx: Transaction) -> Sealed:
    row = tx.session.execute(
        text(
            """
            SELECT c.number, c.sealed_at, coalesce(c.size, 0) AS size,
                   (SELECT count(*) FROM event_seals WHERE position IS NULL) AS since
            FROM (SELECT 1) one LEFT JOIN LATERAL (SELECT * FROM checkpoints ORDER BY number DESC LIMIT 1) c ON true
            """
        )
    ).one()
    return Sealed(row.number, row.sealed_at, row.size, row.since)
