"""The way out: one click in the mail client (RFC 8058), or a page with one button. No cookie, login or redirect."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response

from service.domain.subscriptions import NotOurs
from service.domain.words import Channel, Language
from service.usecases import unsubscribing
from service.usecases.unsubscribing import NobodyLeft, UndoExpired, Undone, UnsubscribeAsked, WasTest
from service.web.deps import Fields, get_container, get_evidence, get_pages, read_form, read_language

router = APIRouter()


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
def show_button(request: Request, token: str) -> Response:
    """Changes nothing: scanners follow every link in every mail (A-25)."""
    container = get_container(request)
    with container.transaction() as tx:
        found = unsubscribing.get_unsubscribe(tx, container.keys, token)
    if isinstance(found, UnsubscribeAsked):
        return _button(request, token, found)
    return _nothing_to_do(request, found)


@router.post("/u/{token}")
def unsubscribe(request: Request, token: str, fields: Annotated[Fields, Depends(read_form)]) -> Response:
    """RFC 8058 §3.1: `List-Unsubscribe=One-Click` alone is enough. Our own page says `action` instead."""
    action = fields.get("action", ("",))[0]
    one_click = fields.get("List-Unsubscribe", ("",))[0].strip().lower() == "one-click"
    container = get_container(request)
    if action not in ("unsubscribe", "everything") and not one_click:
        with container.transaction() as tx:
            found = unsubscribing.get_unsubscribe(tx, container.keys, token)
        if isinstance(found, UnsubscribeAsked):
            return _button(request, token, found, status=422)
        return _nothing_to_do(request, found)
    with container.transaction() as tx:
        done = unsubscribing.unsubscribe(
            tx,
            container.keys,
            token,
            Channel.ONE_CLICK if one_click else Channel.PAGE,
            get_evidence(request),
            everything=action == "everything" and not one_click,
        )
    if isinstance(done, NotOurs):
        return _nothing_to_do(request, done)
    if one_click:
        # Nobody reads this; the same for every token of ours, also when there was nothing left to end.
        return PlainTextResponse("Unsubscribed.\n")
    if isinstance(done, WasTest | NobodyLeft):
        return _nothing_to_do(request, done)
    return get_pages(request).render("unsubscribed", _language(request, done.language), done=done, token=token)


@router.post("/u/{token}/undo")
def undo(request: Request, token: str) -> Response:
    """ "That was a mistake": consent is given anew, on the words agreed to before."""
    container = get_container(request)
    with container.transaction() as tx:
        found = unsubscribing.undo(tx, container.keys, token, get_evidence(request))
    match found:
        case Undone():
            return get_pages(request).message("undone", _language(request, found.language), switch=None)
        case UndoExpired():
            return get_pages(request).message("undo_expired", _language(request, found.language), 410, switch=None)
        case NotOurs():
            return _nothing_to_do(request, found)


def _button(request: Request, token: str, asked: UnsubscribeAsked, status: int = 200) -> Response:
    language = _language(request, asked.language)
    return get_pages(request).render("unsubscribe", language, status, asked=asked, token=token)


def _nothing_to_do(request: Request, found: WasTest | NobodyLeft | NotOurs) -> Response:
    pages, language = get_pages(request), read_language(request)
    match found:
        case WasTest():
            return pages.message("test_link", language)
        case NobodyLeft():
            return pages.message("nobody_left", language)  # friendly, for ever
        case NotOurs():
            return pages.message("link_unknown", language, 404)  # one body for every forgery


def _language(request: Request, reader: Language) -> Language:
    return read_language(request, request.query_params.get("language", "") or reader)
