"""Sign-ups as received, and what became of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, select, union_all, update

from service.domain.evidence import Evidence
from service.domain.forms import SignupRequest
from service.domain.signups import DAY, MONTH, MailsSent
from service.domain.words import SignupState
from service.store.schema import AddressChange, Delivery, Form, Signup
from service.store.transaction import Transaction


def add_signup(
    tx: Transaction,
    request: SignupRequest,
    evidence: Evidence,
    *,
    address_hmac: bytes,
    abuse_hmac: bytes,
    domain_hmac: bytes,
) -> int:
    """Store a sign-up as received, without looking the address up (E-04). Returns its id."""
    signup = Signup(
        address=request.address.address,
        entered=request.entered,
        dedupe_key=request.address.dedupe_key,
        address_hmac=address_hmac,
        abuse_hmac=abuse_hmac,
        domain_hmac=domain_hmac,
        first_name=request.first_name,
        language=request.language,
        list_id=request.list_id,
        purposes=[purpose.value for purpose in request.purposes],
        topic_ids=list(request.topic_ids),
        form_id=request.form_id,
        statement_ids=list(request.statement_ids),
        notice_id=request.notice_id,
        page_url=evidence.page_url,
        ip=evidence.ip,
        user_agent=evidence.user_agent,
        state=SignupState.RECEIVED,
        created_at=tx.now,
    )
    tx.session.add(signup)
    tx.session.flush()
    return signup.id


def add_asked(tx: Transaction, **values: Any) -> int:
    """A sign-up that an operator made for an imported address, decided already. Returns its id.

    It came by no form, so it has no fingerprint of its domain: a slice of an import is no surge of sign-ups (E-05).
    """
    signup = Signup(state=SignupState.ASKED, mailed=True, created_at=tx.now, decided_at=tx.now, **values)
    tx.session.add(signup)
    tx.session.flush()
    return signup.id


def claim_received(tx: Transaction, limit: int) -> Sequence[Signup]:
    """The oldest undecided sign-ups, locked, and behind them those put aside; what others hold is passed over."""
    return tx.session.scalars(
        select(Signup)
        .where(Signup.state == SignupState.RECEIVED)
        .order_by(Signup.decided_at.nulls_first(), Signup.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()


def lock_abuse_keys(tx: Transaction, abuse_hmacs: Iterable[bytes]) -> None:
    """Nobody else decides about these keys until this transaction ends. Always in the same order: no deadlock."""
    for key in sorted({int.from_bytes(hmac[:8], "big", signed=True) for hmac in abuse_hmacs}):
        tx.session.execute(select(func.pg_advisory_xact_lock(key)))


def count_mails(tx: Transaction, abuse_hmac: bytes) -> MailsSent:
    """How many mails sign-ups and changes of address caused for this key, together: one mailbox gets one question a
    day, whoever causes it. However often its reader moves. The limit is a fact here, not in Redis (E-05)."""
    by_signups = select(Signup.decided_at.label("at")).where(Signup.abuse_hmac == abuse_hmac, Signup.mailed)
    mailed = exists().where(Delivery.address_change_id == AddressChange.id)  # not each change is
    by_changes = select(AddressChange.created_at).where(AddressChange.abuse_hmac == abuse_hmac, mailed)
    caused = union_all(by_signups, by_changes).subquery()
    row = tx.session.execute(
        select(
            func.count().filter(caused.c.at > tx.now - DAY).label("last_day"),
            func.count().label("last_month"),
        ).where(caused.c.at > tx.now - MONTH)
    ).one()
    return MailsSent(row.last_day, row.last_month)


def lock_signup(tx: Transaction, signup_id: int) -> Signup | None:
    return tx.session.scalar(
        select(Signup).where(Signup.id == signup_id).with_for_update().execution_options(populate_existing=True)
    )


def find_signup(tx: Transaction, signup_id: int) -> Signup | None:
    return tx.session.get(Signup, signup_id)


def list_newest(tx: Transaction, limit: int) -> Sequence[tuple[Signup, str]]:
    """The newest sign-ups with the slugs of their forms."""
    newest = select(Signup, Form.slug).join(Form, Form.id == Signup.form_id).order_by(Signup.id.desc()).limit(limit)
    return [(signup, slug) for signup, slug in tx.session.execute(newest)]


def count_held(tx: Transaction) -> tuple[int, datetime | None]:
    """How many sign-ups are held, and since when the oldest."""
    held = select(func.count(), func.min(Signup.created_at)).where(Signup.state == SignupState.HELD)
    number, oldest_at = tx.session.execute(held).one()
    return number, oldest_at


def mark_decided(
    tx: Transaction,
    signup: Signup,
    state: SignupState,
    *,
    subscriber_id: int | None = None,
    mailed: bool = False,
    expires_at: datetime | None = None,
) -> None:
    signup.state = state
    signup.subscriber_id = subscriber_id
    signup.mailed = mailed
    signup.decided_at = tx.now
    signup.expires_at = expires_at
    tx.session.flush()


def put_aside(tx: Transaction, signup_id: int) -> None:
    """Deciding failed just now: it stays received, and is tried again after all that were not tried as lately."""
    tx.session.execute(update(Signup).where(Signup.id == signup_id).values(decided_at=tx.now))


def mark_confirmed(tx: Transaction, signup: Signup) -> None:
    signup.state = SignupState.CONFIRMED
    signup.confirmed_at = tx.now
    tx.session.flush()


def mark_expired(tx: Transaction) -> int:
    """Close every sign-up whose confirmation link no longer works. Returns how many."""
    expired = (
        update(Signup)
        .where(Signup.state == SignupState.ASKED, Signup.expires_at <= tx.now)
        .values(state=SignupState.EXPIRED)
        .returning(Signup.id)
    )
    return len(tx.session.scalars(expired).all())


def has_received(tx: Transaction, before: datetime) -> bool:
    """Whether a sign-up from before this time is still undecided; for the sweep."""
    oldest = select(Signup.id).where(Signup.state == SignupState.RECEIVED, Signup.created_at < before).limit(1)
    return tx.session.scalar(oldest) is not None
