"""An operator erases somebody who wrote to the publisher: shown first, then noted, then done (D-15, D-22)."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.addresses import Address, parse_address
from service.domain.processors import Processor
from service.domain.tokens import Keys
from service.errors import Kind, ServiceError
from service.store import audit, inventory, subscribers
from service.store.append_only import AppendOnlyFile
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.erasing import Forgotten, NobodyThere, Waiting, erase, erase_address, request_erasure

ACT = "erasure_ordered"


@dataclass(frozen=True, slots=True)
class ToErase:
    """Who has the address, and how much of what is held."""

    address: Address
    subscriber_id: int | None
    """None: no subscriber has it; a sign-up, an import or a test mail may."""
    held: dict[str, int]


@dataclass(frozen=True, slots=True)
class Ask:
    """A processor that has seen the address, and has to be asked to erase it too (GDPR 19, 28)."""

    name: str
    contact: str
    log_days: int
    self_operated: bool


def look_up(tx: Transaction, keys: Keys, address_text: str) -> ToErase:
    """Changes nothing. Raises ServiceError: NOT_FOUND where nothing is held, INVALID for what is no address."""
    address = parse_address(address_text, reserved=True)
    found = subscribers.find_by_dedupe_key(tx, address.dedupe_key)
    hmac = keys.address_hmac(address.dedupe_key)
    held = inventory.count_of_person(tx, found.id if found else 0, address.dedupe_key, hmac)
    if not any(held.values()):
        raise ServiceError(
            Kind.NOT_FOUND,
            "nobody_known",
            "Nothing is held under this address; nothing was erased. Check the spelling.",
            field="address",
        )
    return ToErase(address, found.id if found else None, held)


def order_erasure(
    transaction: TransactionFactory, keys: Keys, file: AppendOnlyFile, address_text: str, *, actor: str, reason: str
) -> Forgotten | Waiting | NobodyThere:
    """Note it, then erase. What has to wait for mail on the wire is done by a worker. Raises as `look_up` and `erase`.

    The note is committed first: whatever happens then, it was ordered.
    """
    with transaction() as tx:
        found = look_up(tx, keys, address_text)
        audit.note(tx, actor=actor, act=ACT, reason=reason, subscriber_id=found.subscriber_id)
        if found.subscriber_id is not None:
            request_erasure(tx, found.subscriber_id, asked_by=actor)
    if found.subscriber_id is not None:
        return erase(transaction, keys, file, found.subscriber_id, asked_by=actor)
    return erase_address(transaction, keys, file, found.address)


def list_to_ask(processors: Iterable[Processor]) -> list[Ask]:
    """Whoever has seen addresses for us."""
    return [
        Ask(each.name, each.contact, each.log_days, each.self_operated)
        for each in processors
        if any("address" in what for what in each.sees)
    ]
