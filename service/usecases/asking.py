"""Asking the owners of imported addresses, each once ever, whether they agree: where no evidence of it came (E-11).

It is a sign-up by the list's form in force that the operator fills in: same button, same expiry, same deletion.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.domain.imports import Slice, SliceOrder
from service.domain.tokens import Keys
from service.domain.words import Channel, ConsentState, ImportVerdict, Language, MailKind, Purpose
from service.errors import Kind, ServiceError
from service.store import consent, deliveries, imports, signups, wordings
from service.store.consent import NewEvent
from service.store.schema import Form
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.steps import quarantine
from service.usecases.steps.quarantine import Candidate, Taken

BETWEEN_MAILS = timedelta(seconds=1)
"""Questions leave one by one, so that no confirmation that somebody waits for stands behind many of them."""


def ask_slice(
    transaction: TransactionFactory, keys: Keys, import_id: int, order: SliceOrder, lifetime: timedelta
) -> Slice:
    """As `ask`, any number, in transactions of its own."""
    return quarantine.let_out(transaction, order, lambda tx, part: ask(tx, keys, import_id, part, lifetime))


def ask(tx: Transaction, keys: Keys, import_id: int, order: SliceOrder, lifetime: timedelta) -> Slice:
    """Queue a question to each of the next rows, AT_ONCE at most. `lifetime`: how long the link in it works (E-07).

    Raises ServiceError as `quarantine.take`, and CONFLICT where no form has words for what a row is about.
    """
    taken = quarantine.take(tx, keys, import_id, ImportVerdict.NEEDS_CONFIRMING, order)
    forms = wordings.list_forms_in_force(tx, taken.found.list_id)
    candidates = _leave_mailed(tx, keys, taken.candidates)
    quarantine.add_subscribers(tx, keys, candidates)
    last = deliveries.find_last_due(tx, MailKind.REPERMISSION)
    first = max(tx.now, last + BETWEEN_MAILS) if last else tx.now
    done = 0
    for each in candidates:
        if each.subscriber_id is None:
            continue
        form, due_at = _form_for(forms, each.purposes), first + done * BETWEEN_MAILS
        signup_id = _sign_up(tx, keys, taken, each, form, expires_at=due_at + lifetime)
        _request(tx, keys, taken, each, form, signup_id)
        deliveries.add_interactive(
            tx,
            kind=MailKind.REPERMISSION,
            subscriber_id=each.subscriber_id,
            list_id=taken.found.list_id,
            signup_id=signup_id,
            due_at=due_at,
        )
        imports.mark_admitted(tx, each.row, each.subscriber_id, signup_id)
        done += 1
    return quarantine.finish(tx, taken, "import_asked", done)


def _leave_mailed(tx: Transaction, keys: Keys, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Without those whose mailbox has had its share of mails that nobody there need have asked for (E-05)."""
    chosen: dict[bytes, Candidate] = {}
    for each in candidates:
        mailbox = keys.address_hmac(each.address.abuse_key)
        if mailbox not in chosen and not signups.count_mails(tx, mailbox).spent:
            chosen[mailbox] = each
    return list(chosen.values())


def _form_for(forms: Sequence[Form], purposes: Sequence[Purpose]) -> Form:
    for form in forms:
        if set(purposes) <= set(form.definition["purposes"]):
            return form
    raise ServiceError(
        Kind.CONFLICT,
        "form_missing",
        f"No form of this list asks for {', '.join(purposes)}, so there are no words to ask with; nobody was asked. "
        "Add one to templates/wording/forms.toml.",
    )


def _words(each: Candidate, form: Form) -> tuple[list[int], int]:
    """The statements that are asked for, in the reader's language, and the notice with them."""
    language = each.read["language"]
    statements = form.definition["statements"][language]
    return [statements[purpose] for purpose in each.purposes], form.definition["notices"][language]


def _sign_up(tx: Transaction, keys: Keys, taken: Taken, each: Candidate, form: Form, *, expires_at: datetime) -> int:
    statement_ids, notice_id = _words(each, form)
    return signups.add_asked(
        tx,
        subscriber_id=each.subscriber_id,
        address=each.address.address,
        entered=each.read["entered"],
        dedupe_key=each.address.dedupe_key,
        address_hmac=keys.address_hmac(each.address.dedupe_key),
        abuse_hmac=keys.address_hmac(each.address.abuse_key),
        first_name=each.read["first_name"],
        language=Language(each.read["language"]),
        list_id=taken.found.list_id,
        purposes=[purpose.value for purpose in each.purposes],
        topic_ids=each.read["topic_ids"],
        form_id=form.id,
        statement_ids=statement_ids,
        notice_id=notice_id,
        expires_at=expires_at,
    )


def _request(tx: Transaction, keys: Keys, taken: Taken, each: Candidate, form: Form, signup_id: int) -> None:
    statement_ids, notice_id = _words(each, form)
    for purpose, statement_id in zip(each.purposes, statement_ids, strict=True):
        consent.append(
            tx,
            keys.ledger,
            NewEvent(
                subscriber_id=each.subscriber_id or 0,
                list_id=taken.found.list_id,
                purpose=purpose,
                state=ConsentState.REQUESTED,
                channel=Channel.IMPORT,
                signup_id=signup_id,
                statement_id=statement_id,
                notice_id=notice_id,
                form_id=form.id,
                personal={"import": taken.file},  # the row itself is evidence once the button is pressed (D-18)
                actor=taken.order.operator,
            ),
        )
