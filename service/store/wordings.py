"""Statements, notices and forms: versions that never change. New content is a new row (D-05)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from service.domain.words import Language, Purpose
from service.store.schema import Form, List, Notice, Statement
from service.store.transaction import Transaction


def lock_wordings(tx: Transaction) -> None:
    """One publisher of wordings at a time: several processes may start at once."""
    tx.session.execute(select(func.pg_advisory_xact_lock(func.hashtext("milepost wordings"))))


def add_statement(tx: Transaction, purpose: Purpose, language: Language, body: str) -> int:
    """The id of this wording, stored now if it is new."""
    digest = _sha256(body)
    tx.session.execute(
        insert(Statement)
        .values(purpose=purpose, language=language, body=body, sha256=digest, published_at=tx.now)
        .on_conflict_do_nothing()
    )
    return tx.session.scalars(
        select(Statement.id).where(
            Statement.purpose == purpose, Statement.language == language, Statement.sha256 == digest
        )
    ).one()


def add_notice(tx: Transaction, language: Language, body: str) -> int:
    """The id of this privacy notice, stored now if it is new."""
    digest = _sha256(body)
    tx.session.execute(
        insert(Notice).values(language=language, body=body, sha256=digest, published_at=tx.now).on_conflict_do_nothing()
    )
    return tx.session.scalars(select(Notice.id).where(Notice.language == language, Notice.sha256 == digest)).one()


def add_form(tx: Transaction, slug: str, list_id: int, definition: Mapping[str, Any]) -> int:
    """The id of this version of the form: the one in force if it says the same, else a new one.

    What a version replaces is part of it, so going back to older words is a new version too.
    """
    latest = tx.session.scalar(select(Form).where(Form.slug == slug).order_by(Form.id.desc()).limit(1))
    whole = {**definition, "replaces": latest.id if latest else None}
    if (
        latest
        and latest.list_id == list_id
        and latest.definition == {**whole, "replaces": latest.definition["replaces"]}
    ):
        return latest.id
    form = Form(
        slug=slug,
        list_id=list_id,
        definition=whole,
        sha256=_sha256(json.dumps([list_id, whole], sort_keys=True)),
        published_at=tx.now,
    )
    tx.session.add(form)
    tx.session.flush()
    return form.id


def find_form(tx: Transaction, slug: str) -> tuple[Form, List] | None:
    """The version of the form in force, with its list."""
    row = tx.session.execute(
        select(Form, List)
        .join(List, List.id == Form.list_id)
        .where(Form.slug == slug)
        .order_by(Form.id.desc())
        .limit(1)
    ).one_or_none()
    return (row[0], row[1]) if row else None


def find_statement(tx: Transaction, purpose: Purpose, body: str) -> int | None:
    """The published statement with exactly these words, in whatever language."""
    words = select(Statement.id).where(Statement.purpose == purpose, Statement.sha256 == _sha256(body.strip()))
    return tx.session.scalar(words.order_by(Statement.id.desc()).limit(1))


def list_forms_in_force(tx: Transaction, list_id: int) -> list[Form]:
    """The newest version of each form of the list, the most thorough first."""
    newest = select(func.max(Form.id)).group_by(Form.slug)
    forms = tx.session.scalars(select(Form).where(Form.id.in_(newest), Form.list_id == list_id).order_by(Form.id))
    return sorted(forms, key=lambda form: -len(form.definition["purposes"]))


def find_notice(tx: Transaction, notice_id: int) -> Notice | None:
    return tx.session.get(Notice, notice_id)


def find_notice_in_force(tx: Transaction, language: Language) -> Notice | None:
    """The notice that today's forms are bound to."""
    form = tx.session.scalar(select(Form).order_by(Form.id.desc()).limit(1))
    return tx.session.get(Notice, form.definition["notices"][language.value]) if form else None


def list_statements(tx: Transaction, ids: list[int]) -> list[Statement]:
    """The statements with these ids, in this order."""
    found = {s.id: s for s in tx.session.scalars(select(Statement).where(Statement.id.in_(ids)))}
    return [found[statement_id] for statement_id in ids]


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
