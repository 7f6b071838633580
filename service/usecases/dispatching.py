"""Sending: claim, commit, touch the wire, record, and again; and what is done about workers that died."""

from uuid import UUID

from service.store.transaction import Transaction


def sweep(tx: Transaction) -> None:
    """Find what nobody was told of: due deliveries, expired leases, finished campaigns."""
    raise NotImplementedError


def declare_lost(tx: Transaction, worker_id: UUID, *, by: str) -> int:
    """An operator says that a worker's host is gone: what it had claimed becomes uncertain. Returns how many."""
    raise NotImplementedError
