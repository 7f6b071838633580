"""Sign-ups held back while far more arrive than usual: seen by operators, let go when it is over (E-05)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from service.domain.surges import Ceilings, choose_released, is_surge, usual_hour
from service.domain.words import Lane
from service.errors import Kind, ServiceError
from service.ports import Hint
from service.store import audit, surges
from service.store.schema import Signup
from service.store.transaction import Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surge:
    """The held sign-ups of one domain by one form, as operators see them."""

    domain: str
    """As mailed to, an A-label: look-alikes cannot pass for what they imitate (E-10)."""
    form: str
    held: int
    oldest_at: datetime
    newest_at: datetime
    last_hour: int
    """Mailboxes of the domain for which somebody signed up in the last hour."""
    usual_hour: float


def release_calmed(tx: Transaction, ceilings: Ceilings) -> int:
    """Let held sign-ups go whose surge is over, oldest first and within the ceilings; returns how many.

    What has waited for a day is closed. Safe to run anywhere at once: one transaction lets go at a time.
    """
    expired = surges.expire_held(tx)
    if expired:
        log.warning("held_signups_expired", number=expired)
    if not surges.try_lock_release(tx):
        return 0
    waiting = surges.list_waiting(
        tx,
        per_domain=ceilings.domain_per_hour,
        not_domains=_surging_domains(tx, ceilings),
        not_forms=surges.list_full_forms(tx, ceilings.form_per_hour),
    )
    if not waiting:
        return 0
    passed_domains, passed_forms = surges.count_passed(tx, waiting)
    released = surges.release(tx, choose_released(waiting, passed_domains, passed_forms, ceilings))
    if released:
        log.info("signups_released", number=released)
        tx.hint(Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE)
    return released


def list_surges(tx: Transaction) -> Sequence[Surge]:
    """Every domain and form with held sign-ups, the largest first."""
    groups: dict[tuple[str, str], list[Signup]] = {}
    for signup, form in surges.list_held(tx):
        domain = (signup.address or "").rpartition("@")[2]
        groups.setdefault((domain, form), []).append(signup)
    found = []
    for (domain, form), held in groups.items():
        fingerprint = held[0].domain_hmac or b""
        found.append(
            Surge(
                domain=domain,
                form=form,
                held=len(held),
                oldest_at=held[0].created_at,
                newest_at=held[-1].created_at,
                last_hour=surges.count_arrived(tx, fingerprint, at=tx.now),
                usual_hour=usual_hour(surges.list_busy_hours(tx, fingerprint, tx.now)),
            )
        )
    return sorted(found, key=lambda surge: (-surge.held, surge.domain, surge.form))


def release(tx: Transaction, ids: Collection[int], *, by: str, reason: str) -> int:
    """An operator lets these go, whatever the surge does. Raises ServiceError if one of them is not held."""
    _need_held(tx, ids)
    audit.note(tx, actor=by, act="signups_released", reason=reason, signup_ids=sorted(ids))
    released = surges.release(tx, ids)
    tx.hint(Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE)
    return released


def drop(tx: Transaction, ids: Collection[int], *, by: str, reason: str) -> int:
    """An operator closes these: nobody is mailed. Raises ServiceError if one of them is not held."""
    _need_held(tx, ids)
    audit.note(tx, actor=by, act="signups_dropped", reason=reason, signup_ids=sorted(ids))
    return surges.drop(tx, ids)


def choose_held(tx: Transaction, ids: Collection[int], *, domain: str | None, form: str | None) -> frozenset[int]:
    """The ids of the held sign-ups that an operator means. Raises ServiceError when that is none, or unclear."""
    if bool(ids) == bool(domain or form):
        raise ServiceError(
            Kind.INVALID,
            "signups_unclear",
            "Name sign-ups by their ids, or by --domain or --form; nothing was done. `milepost signups held` shows "
            "what is held.",
        )
    if ids:
        return frozenset(ids)
    chosen = frozenset(s.id for s, _ in surges.list_held(tx, domain=domain.lower() if domain else None, form=form))
    if not chosen:
        raise ServiceError(
            Kind.NOT_FOUND,
            "signups_not_held",
            "No sign-up is held there; nothing was done. `milepost signups held` shows what is held.",
        )
    return chosen


def _surging_domains(tx: Transaction, ceilings: Ceilings) -> frozenset[bytes]:
    crowded = surges.count_crowded_domains(tx, ceilings.domain_per_hour)
    return frozenset(
        domain
        for domain, arrived in crowded.items()
        if is_surge(arrived, usual_hour(surges.list_busy_hours(tx, domain, tx.now)), ceilings.domain_per_hour)
    )


def _need_held(tx: Transaction, ids: Collection[int]) -> None:
    missing = set(ids) - {signup.id for signup, _ in surges.list_held(tx, ids=ids)}
    if missing:
        raise ServiceError(
            Kind.NOT_FOUND,
            "signups_not_held",
            f"Not held (any more): {', '.join(map(str, sorted(missing)))}; nothing was done. `milepost signups held` "
            "shows what is held.",
        )
