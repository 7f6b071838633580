"""A new key for the fingerprints of addresses: each is wrapped once more, though nobody knows the address (D-16)."""

from service.domain.deliveries import PRESUMED_DEAD
from service.domain.tokens import Keys
from service.errors import Kind, ServiceError
from service.store import address_keys, audit, worker_processes
from service.store.transaction import Transaction


def rotate_address_key(tx: Transaction, keys: Keys, *, actor: str, reason: str) -> dict[str, int]:
    """Bring every stored fingerprint to the newest of the keys, in this transaction. Returns rows by column.

    Raises ServiceError (CONFLICT) when there is nothing to do, while workers are at work (they would go on making
    fingerprints of the old kind), and when keys are missing.
    """
    before = address_keys.get_version(tx)
    if before == keys.address_version:
        raise ServiceError(
            Kind.CONFLICT,
            "address_key_current",
            f"Every fingerprint is of version {before} already; nothing was changed. Add a secret at the end of "
            "MILEPOST_ADDRESS_KEYS first (`milepost secrets` makes one).",
        )
    if before > keys.address_version:
        raise ServiceError(
            Kind.CONFLICT, "address_keys_missing", address_keys.missing_keys(before, keys.address_version)
        )
    alive = worker_processes.count_alive(tx, tx.now - PRESUMED_DEAD)
    if alive:
        raise ServiceError(
            Kind.CONFLICT,
            "workers_at_work",
            f"{alive} worker processes are at work; nothing was changed. Stop web, workers and beat first: what they "
            "would write meanwhile would match nobody.",
        )
    wrapped = address_keys.wrap(tx, lambda old: keys.rewrap(old, before), keys.address_version)
    audit.note(tx, actor=actor, act="address_key_rotated", reason=reason, version=keys.address_version)
    return wrapped
