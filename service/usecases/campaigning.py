"""Campaigns of operators: draft, test, order, plan, pause, resume, cancel, and what is uncertain."""

from service.domain.campaigns import Resolution
from service.domain.words import Language, Purpose
from service.store.transaction import Transaction


def create_campaign(
    tx: Transaction, *, list_slug: str, purpose: Purpose, name: str, subject: str, body: str, by: str
) -> int:
    """Keep a draft: subject and Markdown body, to the readers of one list for one purpose. Returns its id."""
    raise NotImplementedError


def send_test(tx: Transaction, campaign_id: int, *, address: str, language: Language, by: str) -> int:
    """Queue one test mail of the draft to an operator's address. Returns the delivery's id."""
    raise NotImplementedError


def order_campaign(tx: Transaction, campaign_id: int, *, by: str) -> None:
    """Freeze the revision and have the audience planned."""
    raise NotImplementedError


def plan_campaign(tx: Transaction, campaign_id: int) -> int:
    """Resolve the audience once. Returns how many were planned; 0 if it is a run's campaign or not in planning."""
    raise NotImplementedError


def pause_campaign(tx: Transaction, campaign_id: int, *, by: str, reason: str | None = None) -> None:
    raise NotImplementedError


def resume_campaign(tx: Transaction, campaign_id: int, *, by: str) -> None:
    raise NotImplementedError


def cancel_campaign(tx: Transaction, campaign_id: int, *, by: str, reason: str | None = None) -> None:
    raise NotImplementedError


def resolve_uncertain(tx: Transaction, campaign_id: int, decision: Resolution, *, by: str) -> int:
    """Resend or close every uncertain delivery of the campaign. Returns how many."""
    raise NotImplementedError
