"""Signing up: a request is stored blindly, decided by a worker, and becomes consent when a button is pressed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from service.domain.confirming import describe_press, describe_request
from service.domain.evidence import Evidence
from service.domain.forms import SignupRequest
from service.domain.ledger import LedgerKeys
from service.domain.signups import LIFTABLE, MAILED, decide_signup
from service.domain.subscriptions import NotOurs
from service.domain.surges import Ceilings
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import Channel, ConsentState, Lane, Language, MailKind, Purpose, SignupState
from service.ports import Hint
from service.store import consent, deliveries, proofs, signups, subscribers, suppressions, surges, wordings
from service.store.consent import NewEvent
from service.store.schema import Signup
from service.store.transaction import FAULTS, Transaction
from service.usecases.steps import quarantine

log = structlog.get_logger(__name__)

BATCH = 50
CEILINGS = Ceilings()


@dataclass(frozen=True, slots=True)
class ConfirmationAsked:
    """The button may be pressed."""

    language: Language
    list_id: int
    purposes: tuple[Purpose, ...]
    statements: tuple[str, ...]
    """The words agreed to, as they were shown when signing up."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    language: Language
    purposes: tuple[Purpose, ...]
    control_token: str


@dataclass(frozen=True, slots=True)
class AlreadyConfirmed:
    language: Language
    control_token: str
    in_force: bool
    """Whether anything that was agreed to then is in force now; if not, the reader has unsubscribed since."""


@dataclass(frozen=True, slots=True)
class ConfirmationExpired:
    language: Language | None
    """None when the sign-up is gone."""


def receive_signup(tx: Transaction, keys: Keys, request: SignupRequest, evidence: Evidence) -> int:
    """Store a sign-up that a form may make. The address is not looked up, so answer and time tell nothing (E-04)."""
    signup_id = signups.add_signup(
        tx,
        request,
        evidence,
        address_hmac=keys.address_hmac(request.address.dedupe_key),
        abuse_hmac=keys.address_hmac(request.address.abuse_key),
        domain_hmac=keys.domain_hmac(request.address.domain),
    )
    tx.hint(Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE)
    return signup_id


def process_signups(
    tx: Transaction, ledger: LedgerKeys, lifetime: timedelta, limit: int = BATCH, *, ceilings: Ceilings = CEILINGS
) -> int:
    """Decide up to `limit` received sign-ups; returns how many were decided.

    One that cannot be decided is put aside with nothing of it done, and tried again after all others.

    Safe to run anywhere at once: one address is decided about by one transaction at a time, whatever its spelling.
    `lifetime` is how long the link in a confirmation mail works (E-07). If more may be waiting, leaves a hint.
    """
    batch = signups.claim_received(tx, limit)
    signups.lock_abuse_keys(tx, (signup.abuse_hmac for signup in batch))
    decided = sum(_try_to_decide(tx, ledger, signup, lifetime, ceilings) for signup in batch)
    _alert([signup for signup in batch if signup.state is SignupState.HELD])
    if len(batch) == limit and decided:  # with none decided, the next sweep is soon enough
        tx.hint(Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE)
    return decided


def get_confirmation(
    tx: Transaction, keys: Keys, token_text: str
) -> ConfirmationAsked | AlreadyConfirmed | ConfirmationExpired | NotOurs:
    """What the link in a confirmation mail shows. Changes nothing (invariant 5)."""
    found = _open(keys, token_text)
    if found is None:
        return NotOurs()
    signup = signups.find_signup(tx, found)
    closed = _closed(tx, keys, signup)
    if closed or signup is None:
        return closed or ConfirmationExpired(None)
    return ConfirmationAsked(
        language=signup.language,
        list_id=signup.list_id,
        purposes=_purposes(signup),
        statements=tuple(s.body for s in wordings.list_statements(tx, signup.statement_ids)),
    )


def confirm_subscription(
    tx: Transaction, keys: Keys, token_text: str, evidence: Evidence
) -> Confirmed | AlreadyConfirmed | ConfirmationExpired | NotOurs:
    """The reader pressed the button: consent is given, for exactly what the sign-up's statements say (E-07).

    Repeating it changes nothing. Name, topics and language of the form take effect only now.
    """
    found = _open(keys, token_text)
    if found is None:
        return NotOurs()
    signup = signups.lock_signup(tx, found)
    closed = _closed(tx, keys, signup)
    if closed or signup is None or signup.subscriber_id is None:
        return closed or ConfirmationExpired(None)
    _give(tx, keys.ledger, signup, signup.subscriber_id, evidence)
    signups.mark_confirmed(tx, signup)
    for reason in LIFTABLE:  # C-16
        suppressions.lift(tx, _who(signup).address_hmac, reason)
    _apply_choices(tx, signup, signup.subscriber_id)
    purposes = _purposes(signup)
    deliveries.add_interactive(
        tx,
        kind=MailKind.WELCOME,
        subscriber_id=signup.subscriber_id,
        list_id=signup.list_id,
        purpose=purposes[0],
        signup_id=signup.id,
    )
    return Confirmed(signup.language, purposes, _control_token(keys, signup))


def expire_signups(tx: Transaction) -> int:
    """Close sign-ups whose confirmation link no longer works; returns how many. Nobody is told."""
    return signups.mark_expired(tx)


def _try_to_decide(
    tx: Transaction, ledger: LedgerKeys, signup: Signup, lifetime: timedelta, ceilings: Ceilings
) -> bool:
    signup_id = signup.id
    try:
        with tx.savepoint():
            _decide(tx, ledger, signup, lifetime, ceilings)
    except FAULTS as error:
        log.error("signup_not_decided", signup_id=signup_id, error=type(error).__name__)  # noqa: TRY400 - no addresses
        signups.put_aside(tx, signup_id)
        return False
    return True


def _alert(held: Sequence[Signup]) -> None:
    """Say in the log that these were held: ids and fingerprints of domains, no address (E-05)."""
    if held:
        domains = Counter(signup.domain_hmac.hex()[:12] for signup in held if signup.domain_hmac)
        log.warning(
            "signups_held",
            number=len(held),
            domains=dict(domains.most_common(5)),
            form_ids=sorted({signup.form_id for signup in held}),
            signup_ids=[signup.id for signup in held][:10],
            remedy="milepost signups held",
        )


def _decide(tx: Transaction, ledger: LedgerKeys, signup: Signup, lifetime: timedelta, ceilings: Ceilings) -> None:
    who = _who(signup)
    known = subscribers.find_by_dedupe_key(tx, who.dedupe_key)
    state = decide_signup(
        ticked=frozenset(_purposes(signup)),
        active=consent.get_active_purposes(tx, known.id, signup.list_id) if known else frozenset(),
        suppressions=suppressions.list_reasons(tx, who.address_hmac, signup.list_id),
        mails=signups.count_mails(tx, signup.abuse_hmac),
    )
    if state in MAILED and surges.is_one_too_many(tx, signup, ceilings):
        state = SignupState.HELD
    subscriber_id = known.id if known else None
    if state is SignupState.ASKED:
        subscriber_id = _ask(tx, ledger, signup)
    mailed = state in MAILED
    signups.mark_decided(
        tx,
        signup,
        state,
        subscriber_id=subscriber_id,
        mailed=mailed,
        expires_at=tx.now + lifetime if state is SignupState.ASKED else None,
    )
    if mailed and subscriber_id is not None:
        asked = state is SignupState.ASKED
        deliveries.add_interactive(
            tx,
            kind=MailKind.CONFIRMATION if asked else MailKind.ALREADY_SUBSCRIBED,
            subscriber_id=subscriber_id,
            list_id=signup.list_id,
            signup_id=signup.id,
        )


def _ask(tx: Transaction, ledger: LedgerKeys, signup: Signup) -> int:
    """Make the address known and note what was requested; returns the subscriber's id.

    Where the request came from stays in the sign-up, which is emptied soon: it may be a stranger's (D-18).
    """
    who = _who(signup)
    subscriber_id = subscribers.add_subscriber(
        tx,
        address=who.address,
        dedupe_key=who.dedupe_key,
        address_hmac=who.address_hmac,
        language=signup.language,
    )
    active = consent.get_active_purposes(tx, subscriber_id, signup.list_id)
    for purpose, statement_id in zip(_purposes(signup), signup.statement_ids, strict=True):
        if purpose not in active:
            consent.append(
                tx,
                ledger,
                NewEvent(
                    subscriber_id=subscriber_id,
                    list_id=signup.list_id,
                    purpose=purpose,
                    state=ConsentState.REQUESTED,
                    channel=Channel.FORM,
                    occurred_at=signup.created_at,
                    signup_id=signup.id,
                    statement_id=statement_id,
                    notice_id=signup.notice_id,
                    form_id=signup.form_id,
                ),
            )
    return subscriber_id


def _give(tx: Transaction, ledger: LedgerKeys, signup: Signup, subscriber_id: int, evidence: Evidence) -> None:
    pressed = describe_press(
        proofs.find_confirmation(tx, signup.id),
        signup_id=signup.id,
        request=quarantine.read_question(tx, ledger, signup.id) or _describe(signup),
        now=tx.now,
    )
    for purpose, statement_id in zip(_purposes(signup), signup.statement_ids, strict=True):
        consent.append(
            tx,
            ledger,
            NewEvent(
                subscriber_id=subscriber_id,
                list_id=signup.list_id,
                purpose=purpose,
                state=ConsentState.GIVEN,
                channel=Channel.CONFIRMATION,
                signup_id=signup.id,
                statement_id=statement_id,
                notice_id=signup.notice_id,
                form_id=signup.form_id,
                delivery_id=pressed.delivery_id,
                evidence=evidence,
                personal=pressed.personal,
                suspect_scanner=pressed.suspect_scanner,
            ),
        )


def _describe(signup: Signup) -> dict[str, Any]:
    return describe_request(
        Evidence(signup.ip, signup.user_agent, signup.page_url),
        entered=signup.entered,
        ticked=signup.purposes,
        language=signup.language.value,
        at=signup.created_at,
    )


def _apply_choices(tx: Transaction, signup: Signup, subscriber_id: int) -> None:
    subscribers.set_language(tx, subscriber_id, signup.language)
    if signup.first_name:
        subscribers.set_first_name(tx, subscriber_id, signup.first_name)
    if signup.topic_ids:  # else the form did not ask: what the reader chose elsewhere stays
        subscribers.replace_topics(tx, subscriber_id, signup.list_id, signup.topic_ids)


def _closed(tx: Transaction, keys: Keys, signup: Signup | None) -> AlreadyConfirmed | ConfirmationExpired | None:
    """Why the button may not be pressed, or None if it may."""
    if signup is None:
        return ConfirmationExpired(None)
    if signup.state is SignupState.CONFIRMED:
        active = consent.get_active_purposes(tx, signup.subscriber_id or 0, signup.list_id)
        return AlreadyConfirmed(
            signup.language, _control_token(keys, signup), in_force=not active.isdisjoint(_purposes(signup))
        )
    emptied = signup.address_hmac is None  # D-18, or its reader was erased
    if emptied or signup.state is not SignupState.ASKED or signup.expires_at is None or signup.expires_at <= tx.now:
        return ConfirmationExpired(signup.language)
    if suppressions.list_reasons(tx, _who(signup).address_hmac, signup.list_id) - LIFTABLE:
        return ConfirmationExpired(signup.language)  # complained since: the link no longer acts
    return None


@dataclass(frozen=True, slots=True)
class _Who:
    address: str
    dedupe_key: str
    address_hmac: bytes


def _who(signup: Signup) -> _Who:
    """The personal fields of a sign-up. Raises LookupError once they are emptied (D-18)."""
    if signup.address is None or signup.dedupe_key is None or signup.address_hmac is None:
        raise LookupError("this sign-up has been emptied")
    return _Who(signup.address, signup.dedupe_key, signup.address_hmac)


def _open(keys: Keys, token_text: str) -> int | None:
    token = keys.open(TokenKind.CONFIRM, token_text)
    return token.first if token else None


def _purposes(signup: Signup) -> tuple[Purpose, ...]:
    return tuple(Purpose(purpose) for purpose in signup.purposes)


def _control_token(keys: Keys, signup: Signup) -> str:
    return keys.seal(Token(TokenKind.CONTROL, signup.subscriber_id or 0))
