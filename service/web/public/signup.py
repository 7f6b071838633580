"""Signing up: the hosted form, what it sends, and what programs on the publisher's own pages send.

Everything is checked before anything is stored, and the address is never looked up here, so answer and timing are the
same for every address (E-04).
"""

import dataclasses
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from service.domain.forms import FormView, Problem, SignupRequest, Submission, check_submission, find_control_characters
from service.domain.oddities import PROVIDERS, suggest_domain
from service.domain.signups import Freshness, check_form_token, seconds_to_wait
from service.domain.tokens import Token, TokenKind
from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.usecases import subscribing, wording
from service.web.deps import (
    client_ip,
    get_container,
    get_evidence,
    get_pages,
    media_type,
    read_form,
    read_json,
    read_language,
    wants_json,
)
from service.web.errors import problem
from service.web.mail_domains import find_domain_problem

router = APIRouter()

SEVERAL = ("purposes", "topics")
FIELDS = tuple(field.name for field in dataclasses.fields(Submission))


async def read_submission(request: Request) -> Submission:
    """What was sent, from an HTML form or a JSON object; 415 for anything else."""
    if media_type(request) == "application/json":
        value = await read_json(request)
        request.state.language = value.get("language", "")
        return _from_json(value)
    fields = await read_form(request)
    request.state.language = fields.get("language", ("",))[0]
    values: dict[str, Any] = {
        name: fields.get(name, ()) if name in SEVERAL else fields.get(name, ("",))[0] for name in FIELDS
    }
    return Submission(**values)


@router.api_route("/subscribe", methods=["GET", "HEAD"])
def show_form(request: Request, form: str = wording.FORM) -> Response:
    """The hosted form; `form` and `language` choose which."""
    view = _get_form(request, form, read_language(request))
    return _form_page(request, view, Submission(form=view.slug), 200)


@router.get("/subscribe/token")
def issue_token(request: Request, form: str = wording.FORM) -> JSONResponse:
    """For scripts on the publisher's own pages: a fresh token and the words that have to stand beside the boxes."""
    view = _get_form(request, form, read_language(request))
    container = get_container(request)
    return JSONResponse(
        {
            "form": view.slug,
            "language": view.language,
            "token": _token(request, view, shown_again=False),
            "seconds_to_wait": container.settings.signup_min_seconds,
            "expires_in": container.settings.signup_token_minutes * 60,
            "statements": [{"purpose": s.purpose, "text": s.body} for s in view.statements],
            "topics": [{"slug": t.slug, "name": t.name} for t in view.topics] if view.asks_topics else [],
            "notice_url": f"{container.publisher.public_url}/privacy/{view.notice_id}",
        }
    )


@router.post("/subscribe")
def subscribe(request: Request, sent: Annotated[Submission, Depends(read_submission)]) -> Response:
    """Store a sign-up, or say what is missing. See the module's first lines."""
    language = read_language(request, sent.language)
    if sent.website:
        return _accepted(request, language)  # E-06: only who fills the field that nobody sees is told nothing
    problems = find_control_characters(sent)
    form = _get_form(request, wording.FORM if problems else sent.form or wording.FORM, language)
    if not problems and sent.language and sent.language not in list(Language):
        problems = [Problem("language", "language_unknown")]
    checked = problems or check_submission(sent, form, reserved=get_container(request).settings.is_demo)
    if isinstance(checked, list):
        return _refused(request, form, sent, checked)
    freshness = _freshness(request, form, sent.token)
    if freshness is not Freshness.FRESH:
        return _ask_again(request, form, sent, freshness)
    if not request.app.state.network_limit.take(client_ip(request)):
        raise ServiceError(
            Kind.TOO_MANY,
            "network_limit",
            "Too many sign-ups came from your network; nothing was stored. Wait an hour.",
        )
    domain = checked.address.domain
    unusable = find_domain_problem(domain, get_container(request).disposable_domains, request.app.state.mail_domains)
    if unusable:
        return _refused(request, form, sent, [unusable])
    _store(request, checked, sent.page)
    return _accepted(request, language, meant=suggest_domain(domain))


@router.api_route("/subscribe/sent", methods=["GET", "HEAD"])
def show_sent(request: Request, meant: str = "") -> Response:
    """The same page for everybody; what happens next is in the mailbox.

    `meant`: the provider that was probably meant, if the domain looks like a typing error (E-10). It follows from
    what was typed, never from what is stored, and only names of our own table are repeated.
    """
    hours = get_container(request).settings.confirmation_hours
    known = meant if meant in PROVIDERS else ""
    switch = f"meant={known}" if known else ""
    return get_pages(request).render("sent", read_language(request), hours=hours, meant=known, switch=switch)


def _store(request: Request, checked: SignupRequest, page: str) -> None:
    container = get_container(request)
    # A page says where it stands; else the browser's Referer, which is often only the origin; else it was ours.
    page_url = page or request.headers.get("referer") or f"{container.publisher.public_url}/subscribe"
    with container.transaction() as tx:
        subscribing.receive_signup(tx, container.keys, checked, get_evidence(request, page_url))


def _get_form(request: Request, slug: str, language: Language) -> FormView:
    container = get_container(request)
    with container.transaction() as tx:
        return wording.get_form(tx, slug, language)


def _freshness(request: Request, form: FormView, token_text: str) -> Freshness:
    container = get_container(request)
    return check_form_token(
        container.keys.open(TokenKind.FORM, token_text),
        form_id=form.id,
        language=form.language,
        now=container.clock.now(),
        min_seconds=container.settings.signup_min_seconds,
        lifetime=timedelta(minutes=container.settings.signup_token_minutes),
    )


def _token(request: Request, form: FormView, *, shown_again: bool) -> str:
    container = get_container(request)
    issued = int(container.clock.now().timestamp() * 1000)
    small = list(Language).index(form.language)
    return container.keys.seal(Token(TokenKind.FORM, form.id, issued, small, int(shown_again)))


def _accepted(request: Request, language: Language, *, meant: str | None = None) -> Response:
    if not wants_json(request):
        hint = f"&meant={meant}" if meant else ""
        return RedirectResponse(f"/subscribe/sent?language={language.value}{hint}", 303)
    texts = get_pages(request).texts
    answer: dict[str, Any] = {"status": "accepted", "message": texts.text(language, "sent.title")}
    if meant:
        answer["hint"] = {"meant": meant, "message": texts.text(language, "sent.meant", meant=meant)}
    return JSONResponse(answer, 202)


def _refused(request: Request, form: FormView, sent: Submission, problems: list[Problem]) -> Response:
    """Everything that is wrong, at once, with what was typed kept in the form."""
    if not wants_json(request):
        return _form_page(request, form, sent, 422, problems=problems)
    texts = get_pages(request).texts
    errors = [
        {"field": p.field, "code": p.code, "message": texts.text(form.language, f"problem.{p.code}", **p.values)}
        for p in problems
    ]
    return problem(422, "invalid", texts.text(form.language, "problem.summary"), errors=errors)


def _ask_again(request: Request, form: FormView, sent: Submission, freshness: Freshness) -> Response:
    """Nothing is wrong, but nobody has shown to be a person yet (E-06).

    Programs get 422: their request was not done. A reader who comes from the publisher's own page has done nothing
    wrong and gets the second step of two with 200.
    """
    if not wants_json(request):
        return _form_page(request, form, sent, 200, freshness=freshness)
    return problem(
        422,
        f"token_{freshness}",
        get_pages(request).texts.text(form.language, f"problem.token_{freshness}"),
        token=_token(request, form, shown_again=True),
        seconds_to_wait=_seconds(request, shown_again=True),
    )


def _form_page(
    request: Request,
    form: FormView,
    sent: Submission,
    status: int,
    *,
    problems: list[Problem] | None = None,
    freshness: Freshness | None = None,
) -> Response:
    """The hosted form with what was sent so far. What held control characters is not repeated."""
    spoilt = {p.field for p in problems or () if p.code == "control_characters"}
    emptied: dict[str, Any] = {field: () if field in SEVERAL else "" for field in spoilt}
    kept = dataclasses.replace(sent, **emptied)
    shown_again = bool(problems or freshness)
    first: dict[str, Problem] = {}
    for found in problems or ():
        first.setdefault(found.field, found)
    return get_pages(request).render(
        "subscribe",
        form.language,
        status,
        form=form,
        sent=kept,
        problems=first,
        freshness=freshness,
        token=_token(request, form, shown_again=shown_again),
        switch=f"form={form.slug}",
    )


def _seconds(request: Request, *, shown_again: bool) -> float:
    minimum = get_container(request).settings.signup_min_seconds
    return seconds_to_wait(shown_again=shown_again, min_seconds=minimum)


def _from_json(value: dict[str, Any]) -> Submission:
    """Strict: a misspelt field must not become a sign-up without it."""
    wrong = [
        name
        for name, given in value.items()
        if name not in FIELDS
        or not (
            (isinstance(given, list) and all(isinstance(entry, str) for entry in given))
            if name in SEVERAL
            else isinstance(given, str)
        )
    ]
    if wrong:
        raise ServiceError(
            Kind.INVALID,
            "field_unusable",
            "A field is unknown or of the wrong type; nothing was stored.",
            # Half of a surrogate pair can be read from JSON, but not be written back.
            field=wrong[0].encode(errors="replace").decode(),
        )
    values: dict[str, Any] = {name: tuple(given) if name in SEVERAL else given for name, given in value.items()}
    return Submission(**values)
