"""A request that is sent again, because its answer was lost on the way, is answered again and not done again (E-12)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.domain.tokens import Keys
from service.errors import Kind, ServiceError
from service.store import repeats
from service.store.schema import IdempotentRequest
from service.store.transaction import Transaction

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Repeatable:
    """One request as its sender named it. Key and body may hold addresses: only fingerprints of them are kept."""

    token_name: str
    key: str
    """The sender's own: one for each thing it wants done."""
    body: str
    """The same text for the same request."""


def find_answer(tx: Transaction, keys: Keys, request: Repeatable) -> Answer | None:
    """The answer to a request that was done before, or None. Raises ServiceError (CONFLICT) for another body."""
    found = repeats.find_request(tx, request.token_name, _key_hmac(keys, request))
    return _answer(found, keys, request) if found else None


def do_once(tx: Transaction, keys: Keys, request: Repeatable, act: Callable[[], Answer]) -> Answer:
    """The answer of `act`, done in this transaction unless the request was done before.

    Two at once are done once: the second waits for the first. What is refused by raising is not remembered. Raises
    ServiceError (CONFLICT) if the key was used for another body.
    """
    key_hmac = _key_hmac(keys, request)
    if repeats.claim(tx, request.token_name, key_hmac, _body_hmac(keys, request)):
        answer = act()
        repeats.keep_answer(tx, request.token_name, key_hmac, answer)
        return answer
    found = repeats.find_request(tx, request.token_name, key_hmac)
    if found is None:
        raise LookupError("neither claimed nor remembered")
    return _answer(found, keys, request)


def _answer(found: IdempotentRequest, keys: Keys, request: Repeatable) -> Answer:
    if found.request_hmac != _body_hmac(keys, request):
        raise ServiceError(
            Kind.CONFLICT,
            "idempotency_key_used",
            "This Idempotency-Key was used for another request within the last day; nothing was done. Take a new key "
            "for every new request.",
        )
    return found.answer


def _key_hmac(keys: Keys, request: Repeatable) -> bytes:
    return keys.address_hmac(f"idempotency key {request.key}")


def _body_hmac(keys: Keys, request: Repeatable) -> bytes:
    return keys.address_hmac(f"request {request.body}")
