"""Exhibits that never change: contexts, forms as they looked, templates of mails. Each is known by its hash."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from service.domain.ledger import canonical
from service.domain.words import Language, MailKind
from service.store.schema import Context, FormSnapshot, MailTemplate
from service.store.transaction import Transaction
from service.store.wordings import lock_wordings


def add_context(tx: Transaction, context: Mapping[str, Any]) -> int:
    """The id of the context in force if it says the same, else of a new version.

    What a version replaces is part of it, so going back to an older one is a new version too: the newest is in force.
    """
    latest = tx.session.scalar(select(Context).order_by(Context.id.desc()).limit(1))
    if latest is not None:
        before = json.loads(latest.body)
        before.pop("replaces")
        if canonical(before) == canonical(context):
            return latest.id
    body = canonical({**context, "replaces": latest.sha256.hex() if latest else None}).decode()
    row = Context(body=body, sha256=sha256(body.encode()).digest(), published_at=tx.now)
    tx.session.add(row)
    tx.session.flush()
    return row.id


def add_form_snapshot(tx: Transaction, form_id: int, language: Language, body: str) -> None:
    """Keep how this version of a form looks; the first look stays, for the version's own hash names it."""
    digest = sha256(body.encode()).digest()
    tx.session.execute(
        insert(FormSnapshot)
        .values(form_id=form_id, language=language, body=body, sha256=digest)
        .on_conflict_do_nothing()
    )


def add_mail_template(tx: Transaction, kind: MailKind, body: str) -> int:
    """The id of these sources of a mail's template, stored now if they are new."""
    digest = sha256(body.encode()).digest()
    known = tx.session.scalar(select(MailTemplate.id).where(MailTemplate.sha256 == digest))
    if known is not None:
        return known
    lock_wordings(tx)  # else its id could commit after a higher one that a checkpoint knows: "slipped in", for ever
    tx.session.execute(
        insert(MailTemplate)
        .values(kind=kind, body=body, sha256=digest, published_at=tx.now)
        .on_conflict_do_nothing(index_elements=[MailTemplate.sha256])
    )
    return tx.session.scalars(select(MailTemplate.id).where(MailTemplate.sha256 == digest)).one()


def find_context(tx: Transaction, context_id: int | None) -> str | None:
    """The canonical JSON of a context."""
    return tx.session.scalar(select(Context.body).where(Context.id == context_id)) if context_id is not None else None
