"""Requests that a program may send again, and the answers they got (E-12)."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from service.domain.repeats import REMEMBERED
from service.store.schema import IdempotentRequest
from service.store.transaction import Transaction


def claim(tx: Transaction, token_name: str, key_hmac: bytes, request_hmac: bytes) -> bool:
    """Whether this request is to be done now: it is new, or so old that it is forgotten.

    Waits for another transaction that has claimed the same key, until that has ended.
    """
    row = insert(IdempotentRequest).values(
        token_name=token_name, key_hmac=key_hmac, request_hmac=request_hmac, answer={}, created_at=tx.now
    )
    claimed = row.on_conflict_do_update(
        index_elements=["token_name", "key_hmac"],
        set_={"request_hmac": row.excluded.request_hmac, "answer": {}, "created_at": row.excluded.created_at},
        where=IdempotentRequest.created_at <= tx.now - REMEMBERED,
    ).returning(IdempotentRequest.created_at)
    return tx.session.scalar(claimed) is not None


def find_request(tx: Transaction, token_name: str, key_hmac: bytes) -> IdempotentRequest | None:
    return tx.session.scalar(
        select(IdempotentRequest).where(
            IdempotentRequest.token_name == token_name,
            IdempotentRequest.key_hmac == key_hmac,
            IdempotentRequest.created_at > tx.now - REMEMBERED,
        )
    )


def keep_answer(tx: Transaction, token_name: str, key_hmac: bytes, answer: dict[str, Any]) -> None:
    tx.session.execute(
        update(IdempotentRequest)
        .where(IdempotentRequest.token_name == token_name, IdempotentRequest.key_hmac == key_hmac)
        .values(answer=answer)
    )
