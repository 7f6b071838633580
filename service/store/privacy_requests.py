"""What people asked for about their data: open until it is answered, with the day by which it has to be (D-13)."""

from collections.abc import Sequence

from sqlalchemy import select, update

from service.domain.deadlines import answer_due
from service.domain.words import PrivacyRequestKind
from service.store.schema import PrivacyRequest
from service.store.transaction import Transaction


def add_request(tx: Transaction, kind: PrivacyRequestKind, subscriber_id: int, *, asked_by: str) -> int:
    """Note the request, or find the one of this kind that is still open. Returns its id."""
    open_one = select(PrivacyRequest.id).where(
        PrivacyRequest.subscriber_id == subscriber_id, PrivacyRequest.kind == kind, PrivacyRequest.done_at.is_(None)
    )
    found = tx.session.scalar(open_one.limit(1))
    if found is not None:
        return found
    request = PrivacyRequest(
        kind=kind, subscriber_id=subscriber_id, asked_by=asked_by, asked_at=tx.now, due_at=answer_due(tx.now)
    )
    tx.session.add(request)
    tx.session.flush()
    return request.id


def is_open(tx: Transaction, kind: PrivacyRequestKind, subscriber_id: int) -> bool:
    """Whether this person asked for it and waits for the answer."""
    waiting = select(PrivacyRequest.id).where(
        PrivacyRequest.subscriber_id == subscriber_id, PrivacyRequest.kind == kind, PrivacyRequest.done_at.is_(None)
    )
    return tx.session.scalar(waiting.limit(1)) is not None


def list_open(tx: Transaction, kind: PrivacyRequestKind | None = None) -> Sequence[PrivacyRequest]:
    """What waits for an answer, the most urgent first."""
    requests = select(PrivacyRequest).where(PrivacyRequest.done_at.is_(None)).order_by(PrivacyRequest.due_at)
    if kind is not None:
        requests = requests.where(PrivacyRequest.kind == kind)
    return tx.session.scalars(requests.execution_options(populate_existing=True)).all()


def mark_done(tx: Transaction, subscriber_id: int, kind: PrivacyRequestKind | None = None) -> None:
    """Answered now; with no kind, everything that this person asked for."""
    done = update(PrivacyRequest).where(PrivacyRequest.subscriber_id == subscriber_id, PrivacyRequest.done_at.is_(None))
    if kind is not None:
        done = done.where(PrivacyRequest.kind == kind)
    tx.session.execute(done.values(done_at=tx.now))
