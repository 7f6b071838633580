"""What may be done to a campaign in which status: a table, with every pair decided on purpose."""

from enum import StrEnum
from typing import Final

from service.domain.words import CampaignStatus as Status
from service.errors import Kind, ServiceError


class Act(StrEnum):
    """What an operator, or Milepost itself, does to a campaign."""

    ORDER = "order"
    PLANNED = "planned"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    FINISH = "finish"
    RESEND_UNCERTAIN = "resend_uncertain"
    CLOSE_UNCERTAIN = "close_uncertain"


class Resolution(StrEnum):
    """What a person decides about the uncertain deliveries of a campaign."""

    RESEND = "resend"
    """Send again, at the risk of a second copy."""
    CLOSE = "close"
    """Leave it, at the risk that it never arrived."""


MOVES: Final = {
    (Status.DRAFT, Act.ORDER): Status.PLANNING,
    (Status.DRAFT, Act.CANCEL): Status.CANCELLED,
    (Status.PLANNING, Act.PLANNED): Status.SENDING,
    (Status.PLANNING, Act.CANCEL): Status.CANCELLED,
    (Status.SENDING, Act.PAUSE): Status.PAUSED,
    (Status.SENDING, Act.CANCEL): Status.CANCELLED,
    (Status.SENDING, Act.FINISH): Status.SENT,
    (Status.SENDING, Act.RESEND_UNCERTAIN): Status.SENDING,
    (Status.SENDING, Act.CLOSE_UNCERTAIN): Status.SENDING,
    (Status.PAUSED, Act.RESUME): Status.SENDING,
    (Status.PAUSED, Act.CANCEL): Status.CANCELLED,
    (Status.PAUSED, Act.RESEND_UNCERTAIN): Status.PAUSED,  # they leave when it is resumed
    (Status.PAUSED, Act.CLOSE_UNCERTAIN): Status.PAUSED,
    (Status.SENT, Act.RESEND_UNCERTAIN): Status.SENDING,  # it is not finished after all
    (Status.SENT, Act.CLOSE_UNCERTAIN): Status.SENT,
    (Status.CANCELLED, Act.CLOSE_UNCERTAIN): Status.CANCELLED,
}

REFUSED: Final = {
    (Status.DRAFT, Act.PLANNED): "it has not been ordered",
    (Status.DRAFT, Act.PAUSE): "it has not been ordered; there is nothing to pause",
    (Status.DRAFT, Act.RESUME): "it is a draft; use send",
    (Status.DRAFT, Act.FINISH): "it has not been ordered",
    (Status.DRAFT, Act.RESEND_UNCERTAIN): "it has not been sent; nothing can be uncertain",
    (Status.DRAFT, Act.CLOSE_UNCERTAIN): "it has not been sent; nothing can be uncertain",
    (Status.PLANNING, Act.ORDER): "it has been ordered already",
    (Status.PLANNING, Act.PAUSE): "its audience is still being planned and no mail has left; cancel it, or pause it "
    "in a moment",
    (Status.PLANNING, Act.RESUME): "it is not paused",
    (Status.PLANNING, Act.FINISH): "it has not been planned",
    (Status.PLANNING, Act.RESEND_UNCERTAIN): "it has not been sent; nothing can be uncertain",
    (Status.PLANNING, Act.CLOSE_UNCERTAIN): "it has not been sent; nothing can be uncertain",
    (Status.SENDING, Act.ORDER): "it is being sent already",
    (Status.SENDING, Act.PLANNED): "it has been planned already",
    (Status.SENDING, Act.RESUME): "it is not paused",
    (Status.PAUSED, Act.ORDER): "it has been ordered already; use resume",
    (Status.PAUSED, Act.PLANNED): "it has been planned already",
    (Status.PAUSED, Act.PAUSE): "it is paused already",
    (Status.PAUSED, Act.FINISH): "it is paused",
    (Status.SENT, Act.ORDER): "it has been sent; create a new campaign to say something again",
    (Status.SENT, Act.PLANNED): "it has been sent",
    (Status.SENT, Act.PAUSE): "it has been sent; there is nothing left to pause",
    (Status.SENT, Act.RESUME): "it has been sent",
    (Status.SENT, Act.CANCEL): "it has been sent; what was accepted by the relay cannot be called back",
    (Status.SENT, Act.FINISH): "it is finished already",
    (Status.CANCELLED, Act.ORDER): "it was cancelled; create a new campaign",
    (Status.CANCELLED, Act.PLANNED): "it was cancelled",
    (Status.CANCELLED, Act.PAUSE): "it was cancelled",
    (Status.CANCELLED, Act.RESUME): "it was cancelled; create a new campaign",
    (Status.CANCELLED, Act.CANCEL): "it was cancelled already",
    (Status.CANCELLED, Act.FINISH): "it was cancelled",
    (Status.CANCELLED, Act.RESEND_UNCERTAIN): "it was cancelled, so nothing of it is sent any more; close them instead",
}


LONGEST_LIFE = 24 * 365
"""Hours that a campaign may be worth sending for."""


def move(status: Status, act: Act) -> Status:
    """The status that follows. Raises `ServiceError` (conflict) that says why not."""
    following = MOVES.get((status, act))
    if following is None:
        why = REFUSED[status, act]
        raise ServiceError(
            Kind.CONFLICT, f"campaign_{status}", f"Nothing was changed: this campaign is {status}; {why}."
        )
    return following
