"""What the API takes and gives, as the OpenAPI document shows it. Unknown fields are refused."""

import unicodedata
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyAddress

from service.domain.campaigns import LONGEST_LIFE, Resolution
from service.domain.words import CampaignStatus, DeliveryStatus, Language, Layout, Purpose, SkipReason

LARGEST_ID = 2**63 - 1

Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Slug = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


def _one_line(text: str) -> str:
    # CR, LF, NUL and U+2028 could break a header or a log; nothing of a name or subject needs them.
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise ValueError("must be one line without control characters")
    return text


def _text(text: str) -> str:
    if any(unicodedata.category(c) == "Cc" and c not in "\r\n\t" for c in text):
        raise ValueError("must not hold control characters")
    return text


Line = Annotated[str, AfterValidator(_one_line)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class NewCampaign(_Given):
    list: Annotated[Line, Field(min_length=1, max_length=64, examples=["hub"])]
    """The list's slug."""
    purpose: Annotated[Purpose, Field(examples=["offers"])]
    subject: Annotated[Line, Field(min_length=1, max_length=250, examples=["New shoes for cold days"])]
    body: Annotated[
        str, AfterValidator(_text), Field(min_length=1, max_length=100_000, examples=["# Warm feet\n\nA short note."])
    ]
    """Markdown."""
    name: Annotated[Line | None, Field(max_length=200, examples=["Winter offers"])] = None
    """For reports; the subject if left out."""
    layout: Layout = Layout.CARD
    """`card`: in the publisher's frame. `plain`: as a person writes, a few kilobytes a mail."""
    expire_after: Annotated[int | None, Field(ge=1, le=LONGEST_LIFE, examples=[48])] = None
    """So many hours after the order nobody else is mailed."""


class TestMail(_Given):
    __test__ = False  # not a test class, whatever it is called
    address: Annotated[Line, Field(min_length=3, max_length=320, examples=["ada@fjellsko.example"])]
    language: Language = Language.EN


class ProofAsked(_Given):
    address: Annotated[Line, Field(min_length=3, max_length=320, examples=["ada@fjellsko.example"])]
    """As the person names it; also of somebody who was erased."""
    reason: Annotated[Line, Field(min_length=5, max_length=500, examples=["court order 12/26"])]
    """Stands in the audit log; without addresses."""


class Reason(_Given):
    reason: Annotated[Line | None, Field(max_length=500, examples=["wrong subject"])] = None


class Decision(_Given):
    decision: Annotated[Resolution, Field(examples=["close"])]
    """`resend` risks a second copy, `close` that some never arrived."""


class NewSignup(_Given):
    form: Annotated[Line, Field(min_length=1, max_length=64, examples=["hub"])]
    version: Annotated[int, Field(ge=1, le=LARGEST_ID, examples=[4])]
    """Of the words that the reader saw: GET /forms/{form}."""
    language: Language
    """In which the reader saw them, and gets mail."""
    address: Annotated[Line, Field(min_length=3, max_length=320, examples=["ada@fjellsko.example"])]
    first_name: Annotated[Line | None, Field(max_length=200, examples=["Ada"])] = None
    purposes: Annotated[list[Purpose], Field(min_length=1, examples=[["digest"]])]
    """The boxes that the reader ticked; never ticked for them (D-04)."""
    topics: Annotated[list[Line], Field(max_length=100, examples=[["running"]])] = []
    page: Annotated[Line | None, Field(max_length=2000, examples=["https://www.fjellsko.example/hub"])] = None
    """Where the form stood; evidence, like the two that follow."""
    ip: Annotated[IPvAnyAddress | None, Field(examples=["203.0.113.7"])] = None
    """The reader's, not your server's. Its network's share of sign-ups is everybody's."""
    user_agent: Annotated[Line | None, Field(max_length=1000)] = None


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CampaignOut(_Shown):
    """One campaign as it stands: every planned recipient is in exactly one bucket."""

    id: Annotated[int, Field(examples=[7])]
    name: str
    kind: Annotated[str, Field(examples=["campaign", "digest"])]
    list_slug: str
    purpose: Purpose
    status: CampaignStatus
    reason: str | None
    changed_by: str
    audience: int
    buckets: dict[DeliveryStatus, int]
    skipped: dict[SkipReason, int]
    attempts: int
    oldest_due_at: datetime | None
    lost_leases: int
    created_at: datetime
    ordered_at: datetime | None
    planned_at: datetime | None
    finished_at: datetime | None


class Campaigns(BaseModel):
    campaigns: list[CampaignOut]


class RunStarted(BaseModel):
    run_id: Annotated[int, Field(examples=[3])]
    campaign_id: Annotated[int, Field(examples=[7])]


class TestQueued(BaseModel):
    __test__ = False
    campaign_id: int
    delivery_id: int


class Resolved(BaseModel):
    resolved: int
    """How many were uncertain."""
    campaign: CampaignOut


class SourceOut(_Shown):
    slug: str
    location: str
    language: Language | None
    pulled_at: datetime | None
    error: str | None
    failed_at: datetime | None


class Sources(BaseModel):
    sources: list[SourceOut]


class StatementOut(BaseModel):
    purpose: Purpose
    text: str


class TopicOut(BaseModel):
    slug: str
    name: str


class FormOut(BaseModel):
    """One version of a form in one language: what has to be shown, word for word."""

    form: Annotated[str, Field(examples=["hub"])]
    version: Annotated[int, Field(examples=[4])]
    language: Language
    statements: list[StatementOut]
    """One box each, unticked (D-04)."""
    topics: list[TopicOut]
    asks_first_name: bool
    notice_url: str


class SignupReceived(BaseModel):
    """The same for every address. What becomes of it is decided by a worker."""

    id: Annotated[int, Field(examples=[71])]
    status: str = "received"


class PullHinted(BaseModel):
    hinted: bool = True
    """The worker of the lane `inbound` reads the sources now; GET /content/sources shows what came of it."""


class ProblemOut(BaseModel):
    """RFC 9457. `code` is stable; `detail` is for people."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    errors: list[dict[str, Any]] | None = None
