"""Sign-ups that the publisher's own programs bring: with a token, a key for each, and the words as shown (E-12).

The limits are everybody's: per mailbox, per domain and per form in the worker, per network here, for the reader's.
"""

import json
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from service.domain.evidence import make_evidence
from service.domain.forms import Problem, SignupRequest, Submission, check_submission
from service.domain.repeats import LONGEST_KEY
from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.usecases import repeating, subscribing, wording
from service.usecases.repeating import Repeatable
from service.web.api import models
from service.web.api.authentication import SignupRoute, get_operator_name
from service.web.api.models import Slug
from service.web.deps import get_container, get_pages
from service.web.errors import problem
from service.web.mail_domains import find_domain_problem

router = APIRouter(route_class=SignupRoute)

IdempotencyKey = Annotated[str, Header(min_length=1, max_length=LONGEST_KEY, pattern=r"^[\x21-\x7e]+$")]


@router.get("/forms/{slug}")
def get_form(slug: Slug, request: Request, language: Language = Language.EN) -> models.FormOut:
    """The words that have to be shown beside the boxes, and the version to name in POST /signups."""
    container = get_container(request)
    with container.transaction() as tx:
        view = wording.get_form(tx, slug, language)
    return models.FormOut(
        form=view.slug,
        version=view.id,
        language=view.language,
        statements=[models.StatementOut(purpose=s.purpose, text=s.body) for s in view.statements],
        topics=[models.TopicOut(slug=t.slug, name=t.name) for t in view.topics] if view.asks_topics else [],
        asks_first_name=view.asks_first_name,
        notice_url=f"{container.publisher.public_url}/privacy/{view.notice_id}",
    )


@router.post(
    "/signups",
    status_code=HTTPStatus.ACCEPTED,
    response_model=models.SignupReceived,
    responses={429: {"description": "Too Many Requests"}},
)
def sign_up(
    given: models.NewSignup,
    request: Request,
    idempotency_key: IdempotencyKey,
    by: Annotated[str, Depends(get_operator_name)],
) -> Response | models.SignupReceived:
    """Ask an address for confirmation, once however often this is sent with the same Idempotency-Key within a day.

    The answer says nothing about the address: whether anything is mailed is decided later (E-04).
    """
    container = get_container(request)
    body = json.dumps(given.model_dump(mode="json"), sort_keys=True)
    asked = Repeatable(by, idempotency_key, body)
    with container.transaction() as tx:
        answer = repeating.find_answer(tx, container.keys, asked)
    if answer is None:
        checked = _check(request, given)
        if isinstance(checked, list):
            return _refused(request, checked)
        evidence = make_evidence(str(given.ip) if given.ip else None, given.user_agent, given.page)
        with container.transaction() as tx:
            answer = repeating.do_once(
                tx,
                container.keys,
                asked,
                lambda: {"id": subscribing.receive_signup(tx, container.keys, checked, evidence)},
            )
    return models.SignupReceived(**answer)


def _check(request: Request, given: models.NewSignup) -> SignupRequest | list[Problem]:
    """Everything that can be said without knowing who signed up before. Raises ServiceError for form and network."""
    container = get_container(request)
    with container.transaction() as tx:
        form = wording.get_form(tx, given.form, given.language)
    if given.version != form.id:
        raise ServiceError(
            Kind.CONFLICT,
            "words_changed",
            f"The words of this form have changed (version {form.id}); nothing was stored. Show the reader those of "
            "GET /forms and send that version.",
            field="version",
        )
    sent = Submission(
        address=given.address,
        first_name=given.first_name or "",
        purposes=tuple(given.purposes),
        topics=tuple(given.topics),
        page=given.page or "",
    )
    checked = check_submission(sent, form, reserved=container.settings.is_demo)
    if isinstance(checked, list):
        return checked
    if given.ip and not request.app.state.network_limit.take(str(given.ip)):
        raise ServiceError(
            Kind.TOO_MANY,
            "network_limit",
            "Too many sign-ups came from the reader's network; nothing was stored. Try again in an hour.",
            field="ip",
        )
    unusable = find_domain_problem(checked.address.domain, container.disposable_domains, request.app.state.mail_domains)
    return [unusable] if unusable else checked


def _refused(request: Request, problems: list[Problem]) -> Response:
    texts = get_pages(request).texts
    errors = [
        {"field": p.field, "code": p.code, "message": texts.text(Language.EN, f"problem.{p.code}", **p.values)}
        for p in problems
    ]
    return problem(422, "invalid", "Some values cannot be used; nothing was stored.", errors=errors)
