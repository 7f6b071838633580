"""How many sign-ups came lately, for a domain and by a form, and those that are held (E-05)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, extract, func, or_, select, text, update

from service.domain.surges import HELD_AT_MOST, HOUR, USUAL_HOURS, Ceilings, Waiting, is_surge, usual_hour
from service.domain.words import SignupState
from service.store.schema import Form, Signup
from service.store.transaction import Transaction

LOCK = 0x4845_4C44
"""Of pg_advisory_xact_lock: two sweeps at once would let twice as many go. "HELD"."""

MOST_AT_ONCE = 1000
_BY_FORM = Signup.domain_hmac.is_not(None)
"""Not what operators ask imported addresses: that is no surge, and holds no sign-up back."""


def count_arrived(tx: Transaction, domain_hmac: bytes, *, at: datetime, up_to: int | None = None) -> int:
    """For how many mailboxes of the domain somebody signed up in the hour before `at`, sign-up `up_to` included.

    Mailboxes, not forms sent: who sends a thousand forms for one victim must not have a whole domain held.
    """
    arrived = select(func.count(Signup.abuse_hmac.distinct())).where(
        Signup.domain_hmac == domain_hmac, Signup.created_at > at - HOUR, Signup.created_at <= at
    )
    if up_to is not None:
        arrived = arrived.where(Signup.id <= up_to)
    return tx.session.scalar(arrived) or 0


def list_busy_hours(tx: Transaction, domain_hmac: bytes, at: datetime) -> Sequence[int]:
    """How many sign-ups for the domain caused mail, in each hour of the week before the last hour in which any did.

    Only those that were mailed: a flood that was held must not become usual.
    """
    hours_ago = func.floor(extract("epoch", at - Signup.created_at) / HOUR.total_seconds())
    busy = (
        select(func.count())
        .where(
            Signup.domain_hmac == domain_hmac,
            Signup.mailed,
            Signup.created_at <= at - HOUR,
            Signup.created_at > at - (USUAL_HOURS + 1) * HOUR,
        )
        .group_by(hours_ago)
    )
    return tx.session.scalars(busy).all()


def is_one_too_many(tx: Transaction, signup: Signup, ceilings: Ceilings) -> bool:
    """Whether this sign-up is one too many for its form or for its domain, among those that came before it."""
    if signup.released_at is not None or signup.domain_hmac is None:
        return False
    at = signup.created_at
    if is_form_full(tx, signup.form_id, ceilings.form_per_hour, at=at, up_to=signup.id):
        return True
    arrived = count_arrived(tx, signup.domain_hmac, at=at, up_to=signup.id)
    return arrived > ceilings.domain_per_hour and is_surge(
        arrived, usual_hour(list_busy_hours(tx, signup.domain_hmac, at)), ceilings.domain_per_hour
    )


def is_form_full(tx: Transaction, form_id: int, ceiling: int, *, at: datetime, up_to: int) -> bool:
    """Whether more than `ceiling` sign-ups came by the form in the hour before `at`. Counts no further than that."""
    arrived = select(Signup.id).where(
        Signup.form_id == form_id, Signup.created_at > at - HOUR, Signup.created_at <= at, Signup.id <= up_to, _BY_FORM
    )
    counted = select(func.count()).select_from(arrived.limit(ceiling + 1).subquery())
    return (tx.session.scalar(counted) or 0) > ceiling


def try_lock_release(tx: Transaction) -> bool:
    """False if somebody else is letting held sign-ups go right now."""
    return bool(tx.session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))))


def count_crowded_domains(tx: Transaction, ceiling: int) -> Mapping[bytes, int]:
    """Domains with held sign-ups for which more than `ceiling` mailboxes were named in the last hour."""
    held = select(Signup.domain_hmac).where(Signup.state == SignupState.HELD)
    mailboxes = func.count(Signup.abuse_hmac.distinct())
    crowded = (
        select(Signup.domain_hmac, mailboxes)
        .where(Signup.created_at > tx.now - HOUR, Signup.domain_hmac.in_(held))
        .group_by(Signup.domain_hmac)
        .having(mailboxes > ceiling)
    )
    return {domain: number for domain, number in tx.session.execute(crowded) if domain is not None}


def list_full_forms(tx: Transaction, ceiling: int) -> frozenset[int]:
    """Forms with held sign-ups that brought more than `ceiling` in the last hour."""
    held = select(Signup.form_id).where(Signup.state == SignupState.HELD)
    full = (
        select(Signup.form_id)
        .where(Signup.created_at > tx.now - HOUR, Signup.form_id.in_(held), _BY_FORM)
        .group_by(Signup.form_id)
        .having(func.count() > ceiling)
    )
    return frozenset(tx.session.scalars(full))


def list_waiting(
    tx: Transaction, *, per_domain: int, not_domains: Collection[bytes], not_forms: Collection[int]
) -> Sequence[Waiting]:
    """The oldest held sign-ups, at most `per_domain` of each domain, so that no long queue hides a short one."""
    rows = tx.session.execute(
        text(
            """
            SELECT id, domain_hmac, form_id FROM (
                SELECT id, domain_hmac, form_id, row_number() OVER (PARTITION BY domain_hmac ORDER BY id) AS place
                FROM signups
                WHERE state = 'held' AND domain_hmac <> ALL(:not_domains) AND form_id <> ALL(:not_forms)
            ) waiting
            WHERE place <= :per_domain ORDER BY id LIMIT :limit
            """
        ),
        {
            "not_domains": list(not_domains),
            "not_forms": list(not_forms),
            "per_domain": per_domain,
            "limit": MOST_AT_ONCE,
        },
    )
    return [Waiting(*row) for row in rows]


def count_passed(tx: Transaction, waiting: Sequence[Waiting]) -> tuple[dict[bytes, int], dict[int, int]]:
    """What went through in the last hour for the domains, and by the forms, of those waiting."""
    lately = tx.now - HOUR
    passed = or_(and_(Signup.mailed, Signup.decided_at > lately), Signup.released_at > lately)

    def count(column: Any, among: Collection[Any]) -> dict[Any, int]:
        found = select(column, func.count()).where(column.in_(among), passed, _recent(tx), _BY_FORM).group_by(column)
        return {row[0]: row[1] for row in tx.session.execute(found)}

    return count(Signup.domain_hmac, {w.domain for w in waiting}), count(Signup.form_id, {w.form_id for w in waiting})


def _recent(tx: Transaction) -> ColumnElement[bool]:
    """What passed in the last hour was made within a day and a little: lets the indexes help."""
    return Signup.created_at > tx.now - HELD_AT_MOST - HOUR


def release(tx: Transaction, ids: Collection[int]) -> int:
    """Give held sign-ups back to be decided; they are not held again. Returns how many."""
    return _end(tx, Signup.id.in_(ids), state=SignupState.RECEIVED, released_at=tx.now, decided_at=None)


def drop(tx: Transaction, ids: Collection[int]) -> int:
    """Close held sign-ups: nobody is mailed. Returns how many."""
    return _end(tx, Signup.id.in_(ids), state=SignupState.EXPIRED)


def expire_held(tx: Transaction) -> int:
    """Close what has been held for too long. Returns how many."""
    return _end(tx, Signup.created_at <= tx.now - HELD_AT_MOST, state=SignupState.EXPIRED)


def list_held(
    tx: Transaction, *, domain: str | None = None, form: str | None = None, ids: Collection[int] | None = None
) -> Sequence[tuple[Signup, str]]:
    """Held sign-ups with the slug of their form, oldest first; of one domain (A-label), one form, or these ids."""
    held = select(Signup, Form.slug).join(Form, Form.id == Signup.form_id).where(Signup.state == SignupState.HELD)
    if domain is not None:
        held = held.where(func.split_part(Signup.address, "@", 2) == domain)
    if form is not None:
        held = held.where(Form.slug == form)
    if ids is not None:
        held = held.where(Signup.id.in_(ids))
    return [(signup, slug) for signup, slug in tx.session.execute(held.order_by(Signup.id))]


def _end(tx: Transaction, which: ColumnElement[bool], **values: Any) -> int:
    ended = update(Signup).where(Signup.state == SignupState.HELD, which).values(**values).returning(Signup.id)
    return len(tx.session.scalars(ended).all())
