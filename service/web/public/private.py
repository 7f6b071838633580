"""What we hold about a reader, on pages that only a fresh link opens: to read, download, move away and be forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import RedirectResponse, Response
from markdown_it import MarkdownIt

from service.domain.addresses import parse_address
from service.domain.forms import Problem
from service.domain.held import Held
from service.domain.subscriptions import NotOurs
from service.domain.tokens import Token, TokenKind
from service.domain.words import ConsentState, DeliveryStatus, Language
from service.errors import Kind, ServiceError
from service.store.transaction import Transaction
from service.usecases import changing_address, erasing, holding, private, reading_again
from service.usecases.private import Private, PrivateExpired
from service.usecases.wording import LARGEST_ID
from service.web.deps import Fields, get_container, get_pages, read_form, read_language
from service.web.mail_domains import find_domain_problem
from service.web.public.lost import lost

router = APIRouter()

LOWEST_HEADING = 6
MOST_MAILS = 60
"""On the page; the download has all."""
RECEIPTS = (ConsentState.GIVEN, ConsentState.REAFFIRMED)
LEFT = (DeliveryStatus.ACCEPTED, DeliveryStatus.UNCERTAIN)


class _ClosedError(Exception):
    """The link opens no page; `answer` says why."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


@contextmanager
def _opened(request: Request, token: str) -> Iterator[tuple[Transaction, Private]]:
    container = get_container(request)
    with container.transaction() as tx:
        found = private.open_private(tx, container.keys, token)
        if isinstance(found, NotOurs):
            raise _ClosedError(lost(request, TokenKind.PRIVATE, token))
        if isinstance(found, PrivateExpired):
            language = _language(request, found.language)
            page = get_pages(request).render("private_expired", language, 410, control_token=found.control_token)
            raise _ClosedError(page)
        yield tx, found


@router.api_route("/p/{token}", methods=["GET", "HEAD"])
def show_private(request: Request, token: str) -> Response:
    try:
        return _page(request, token, done="address" if request.query_params.get("done") == "address" else "")
    except _ClosedError as closed:
        return closed.answer


@router.api_route("/p/{token}/data.json", methods=["GET", "HEAD"])
def download_json(request: Request, token: str) -> Response:
    """GDPR 15(3), 20: in a structured, commonly used and machine-readable format."""
    try:
        with _opened(request, token) as (tx, reader):
            held = _held(request, tx, reader)
    except _ClosedError as closed:
        return closed.answer
    container = get_container(request)
    body = holding.render_json(held, container.publisher, container.processors, container.clock.now())
    return _download(body, "application/json", "data.json")


@router.api_route("/p/{token}/data.zip", methods=["GET", "HEAD"])
def download_csv(request: Request, token: str) -> Response:
    try:
        with _opened(request, token) as (tx, reader):
            held = _held(request, tx, reader)
    except _ClosedError as closed:
        return closed.answer
    return _download(holding.render_csv(held, get_container(request).processors), "application/zip", "data.zip")


@router.api_route("/p/{token}/mail/{delivery_id}", methods=["GET", "HEAD"])
def show_mail(request: Request, token: str, delivery_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]) -> Response:
    """A past digest or campaign, as a page."""
    try:
        with _opened(request, token) as (tx, reader):
            shown = reading_again.get_past_mail(tx, reader.subscriber_id, delivery_id)
    except _ClosedError as closed:
        return closed.answer
    if shown is None:
        return get_pages(request).message("not_found", _language(request, reader.language), 404)
    language = _language(request, reader.language)
    body = _as_html(shown.body) if shown.body else ""
    return get_pages(request).render("past_mail", language, mail=shown, body=body, token=token)


@router.post("/p/{token}/address")
def change_address(request: Request, token: str, fields: Annotated[Fields, Depends(read_form)]) -> Response:
    """Asks the new address; says the same whether or not anybody knows it."""
    container = get_container(request)
    typed = fields.get("address", ("",))[0]
    try:
        with _opened(request, token):
            address = parse_address(typed, reserved=container.settings.is_demo)
        unusable = _find_problem(request, address.domain)  # asks DNS, so in no transaction
        if unusable:
            return _page(request, token, problem=unusable, typed=typed)
        with _opened(request, token) as (tx, reader):
            changing_address.ask_change(tx, container.keys, reader.subscriber_id, address)
    except _ClosedError as closed:
        return closed.answer
    except ServiceError as error:
        if error.kind is not Kind.INVALID:
            raise
        return _page(request, token, problem=Problem("address", error.code), typed=typed)
    return RedirectResponse(f"/p/{token}?done=address#address-title", 303)


@router.api_route("/p/{token}/erase", methods=["GET", "HEAD"])
def show_erasure(request: Request, token: str) -> Response:
    """What erasing means, with a button."""
    try:
        with _opened(request, token) as (_, reader):
            return get_pages(request).render("erase", _language(request, reader.language), token=token, reader=reader)
    except _ClosedError as closed:
        return closed.answer


@router.post("/p/{token}/erase")
def erase(request: Request, token: str) -> Response:
    """Ordered now, done by a worker within seconds (D-15)."""
    try:
        with _opened(request, token) as (tx, reader):
            erasing.request_erasure(tx, reader.subscriber_id, asked_by="subscriber")
    except _ClosedError as closed:
        return closed.answer
    return get_pages(request).message("erasing", _language(request, reader.language), switch=None)


def _page(request: Request, token: str, *, done: str = "", problem: Problem | None = None, typed: str = "") -> Response:
    container = get_container(request)
    with _opened(request, token) as (tx, reader):
        language = _language(request, reader.language)
        held = holding.get_held(tx, container.keys, reader.subscriber_id, language)
    assert held is not None
    receipts = {
        event.event_id: container.keys.seal(Token(TokenKind.RECEIPT, event.event_id))
        for event in held.consent_events
        if event.state in RECEIPTS
    }
    return get_pages(request).render(
        "private",
        language,
        422 if problem else 200,
        held=held,
        reader=reader,
        token=token,
        receipts=receipts,
        readable={mail.delivery_id for mail in held.mails if mail.status in LEFT and (mail.articles or mail.subject)},
        most=MOST_MAILS,
        processors=container.processors,
        done=done,
        problem=problem,
        typed=typed,
        switch=None if problem else "",  # what was sent has no page of its own to link
    )


def _as_html(markdown: str) -> str:
    """Below the page's own heading, and without the styles that a mail needs."""
    parser = MarkdownIt("commonmark", {"html": False})
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, LOWEST_HEADING)}"
    return str(parser.renderer.render(tokens, parser.options, {}))


def _find_problem(request: Request, domain: str) -> Problem | None:
    return find_domain_problem(domain, get_container(request).disposable_domains, request.app.state.mail_domains)


def _held(request: Request, tx: Transaction, reader: Private) -> Held:
    held = holding.get_held(tx, get_container(request).keys, reader.subscriber_id)
    assert held is not None
    return held


def _download(body: bytes, media_type: str, name: str) -> Response:
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type=media_type, headers=disposition)


def _language(request: Request, reader: Language) -> Language:
    return read_language(request, request.query_params.get("language", "") or reader)
