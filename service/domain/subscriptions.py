"""How a subscription follows from consent events, and how long a reader may take some things back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.words import ConsentState, SubscriptionState

UNDO_FOR = timedelta(hours=1)
"""How long "that was a mistake" works after an unsubscribe."""

LONGEST_PAUSE = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class NotOurs:
    """The token that a reader came with was not made here, or not for this. One answer for every such token (A-26)."""


def state_after(event: ConsentState, before: SubscriptionState | None) -> SubscriptionState:
    """The state that follows from one more event. Asking again takes nothing from who has agreed already."""
    match event:
        case ConsentState.GIVEN | ConsentState.REAFFIRMED:
            return SubscriptionState.ACTIVE
        case ConsentState.WITHDRAWN | ConsentState.INVALIDATED:
            return SubscriptionState.UNSUBSCRIBED
        case ConsentState.REQUESTED:
            return SubscriptionState.ACTIVE if before is SubscriptionState.ACTIVE else SubscriptionState.PENDING
        case ConsentState.EXPIRED:  # a request ended; it takes nothing from who agreed before
            return before if before is SubscriptionState.ACTIVE else SubscriptionState.UNSUBSCRIBED


def may_undo(withdrawn_at: datetime, now: datetime) -> bool:
    return now - withdrawn_at <= UNDO_FOR
