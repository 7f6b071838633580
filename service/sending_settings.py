"""The settings that say how fast mail leaves, when it is tried again, and when a campaign pauses itself."""

from pydantic import BaseModel, Field


class SendingSettings(BaseModel):
    rate_per_second: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        description="Mails a second that all workers on all hosts together may start; empty: no limit.",
    )
    breaker_dead_percent: float = Field(
        2.0,
        gt=0,
        le=100,
        description="A campaign pauses itself when more of its first 500 addresses than this do not exist: lists like "
        "that get a sender blocked everywhere (C-17).",
    )
    breaker_failed_percent: float = Field(
        5.0,
        gt=0,
        le=100,
        description="A campaign pauses itself when more than this of any 500 answers are permanent refusals, for "
        "whatever reason (C-17).",
    )
    breaker_uncertain_percent: float = Field(
        10.0,
        gt=0,
        le=100,
        description="A campaign pauses itself when of more than this of any 500 mails nobody knows whether the relay "
        "took them; a person would have to decide about each.",
    )
    retry_first_minutes: float = Field(
        15.0,
        ge=1,
        le=240,
        description="How soon a mail that the relay did not take for now is tried again; then twice "
        "as late each time (C-10).",
    )
    retry_longest_minutes: float = Field(
        240.0, ge=1, le=1440, description="Never later than so long after the try before."
    )
    retry_give_up_hours: float = Field(
        96.0,
        ge=1,
        le=240,
        description="Tries are spread over so long; then the mail has failed. A campaign may end "
        "earlier (`campaign create --expire-after`).",
    )
    retry_jitter_percent: float = Field(
        10.0,
        ge=0,
        le=50,
        description="Each wait is so much longer or shorter, so that mails do not come back together.",
    )
