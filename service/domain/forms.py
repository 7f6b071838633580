"""What a sign-up form asks, and whether what came back can be accepted. Nothing here knows who signed up before."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.addresses import Address, parse_address
from service.domain.evidence import has_control
from service.domain.words import Language, Purpose
from service.errors import ServiceError

FIRST_NAME_LENGTH = 80


@dataclass(frozen=True, slots=True)
class FormTopic:
    id: int
    slug: str
    name: str
    """In the form's language."""


@dataclass(frozen=True, slots=True)
class FormStatement:
    """The words beside one box."""

    id: int
    purpose: Purpose
    body: str


@dataclass(frozen=True, slots=True)
class FormView:
    """One version of a form in one language: everything that a page has to show and a sign-up is bound to."""

    id: int
    slug: str
    list_id: int
    list_name: str
    language: Language
    statements: tuple[FormStatement, ...]
    """One box each, never ticked beforehand (D-04)."""
    topics: tuple[FormTopic, ...]
    """All of the list's; asked only if `asks_topics`."""
    asks_topics: bool
    asks_first_name: bool
    notice_id: int


@dataclass(frozen=True, slots=True)
class Submission:
    """What was sent, before anybody has looked at it. Kept whole, so that a form can be shown again as it was."""

    form: str = ""
    language: str = ""
    address: str = ""
    first_name: str = ""
    purposes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    token: str = ""
    website: str = ""
    """The honeypot: no person sees it."""
    page: str = ""
    """The page that the form stood on, as that page says."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: `code` names the text in the reader's language, `field` the input."""

    field: str
    code: str
    values: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignupRequest:
    """A sign-up that can be accepted."""

    address: Address
    entered: str
    """The address as it was typed: evidence, never mailed to."""
    first_name: str | None
    language: Language
    list_id: int
    purposes: tuple[Purpose, ...]
    topic_ids: tuple[int, ...]
    form_id: int
    statement_ids: tuple[int, ...]
    notice_id: int


def check_submission(sent: Submission, form: FormView, *, reserved: bool = False) -> SignupRequest | list[Problem]:
    """The request in `sent`, or everything that is wrong with it, in the order of the form's fields.

    `reserved` as in `parse_address`. No topic ticked means all of them, unless none were asked.
    """
    problems = find_control_characters(sent)
    if problems:
        return problems
    address: Address | None = None
    try:
        address = parse_address(sent.address, reserved=reserved)
    except ServiceError as error:
        problems.append(Problem("address", error.code))
    first_name = sent.first_name.strip()
    if first_name and not form.asks_first_name:
        problems.append(Problem("first_name", "not_asked"))
    elif len(first_name) > FIRST_NAME_LENGTH:
        problems.append(Problem("first_name", "first_name_too_long", {"most": FIRST_NAME_LENGTH}))
    asked = {statement.purpose.value: statement for statement in form.statements}
    ticked = [asked[purpose] for purpose in asked if purpose in sent.purposes]
    if set(sent.purposes) - asked.keys():
        problems.append(Problem("purposes", "purpose_unknown"))
    elif not ticked:
        problems.append(Problem("purposes", "purpose_missing" if len(asked) > 1 else "purpose_missing_one_box"))
    topics = {topic.slug: topic.id for topic in form.topics}
    if sent.topics and not form.asks_topics:
        problems.append(Problem("topics", "not_asked"))
    elif set(sent.topics) - topics.keys():
        problems.append(Problem("topics", "topic_unknown"))
    asked_topics = topics if form.asks_topics else ()
    if address is None or problems:
        return problems
    return SignupRequest(
        address=address,
        entered=sent.address.strip(),
        first_name=first_name or None,
        language=form.language,
        list_id=form.list_id,
        purposes=tuple(statement.purpose for statement in ticked),
        topic_ids=tuple(topics[slug] for slug in asked_topics if slug in sent.topics or not sent.topics),
        form_id=form.id,
        statement_ids=tuple(statement.id for statement in ticked),
        notice_id=form.notice_id,
    )


def find_control_characters(sent: Submission) -> list[Problem]:
    """One problem per field that could break a header or a line; refused, not cleaned (A-16)."""
    fields: dict[str, tuple[str, ...]] = {
        "address": (sent.address,),
        "first_name": (sent.first_name,),
        "purposes": sent.purposes,
        "topics": sent.topics,
        "form": (sent.form,),
        "language": (sent.language,),
        "token": (sent.token,),
        "page": (sent.page,),
    }
    return [
        Problem(name, "control_characters") for name, values in fields.items() if any(has_control(v) for v in values)
    ]
