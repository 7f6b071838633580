"""One reader's chain of events by itself, as it is looked at before any of it is shown to anybody."""

from collections.abc import Sequence

from service.domain.ledger import BEGINNING, LedgerKeys, Record, event_hash


def find_first_untrue(ledger: LedgerKeys, events: Sequence[tuple[Record, bytes, bytes]]) -> int | None:
    """The place, from 0, of the first event that is not what was recorded there; None if all are.

    `events`: (record, hash, MAC) in the order of the chain. That its end was not cut off, the checkpoints tell.
    """
    before = BEGINNING
    for place, (record, hash_, mac) in enumerate(events):
        follows = record["seq"] == place + 1 and record["prev"] == before.hex()
        if not follows or event_hash(record) != hash_ or ledger.mac(hash_) != mac:
            return place
        before = hash_
    return None
