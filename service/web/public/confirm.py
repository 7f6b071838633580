"""The link in a confirmation mail: GET shows a button, POST confirms (E-07)."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.domain.subscriptions import NotOurs
from service.usecases import subscribing
from service.usecases.subscribing import AlreadyConfirmed, ConfirmationAsked, ConfirmationExpired, Confirmed
from service.web.deps import get_container, get_evidence, get_pages, read_language

router = APIRouter()


@router.api_route("/confirm/{token}", methods=["GET", "HEAD"])
def show_button(request: Request, token: str) -> Response:
    container = get_container(request)
    with container.transaction() as tx:
        found = subscribing.get_confirmation(tx, container.keys, token)
    if isinstance(found, ConfirmationAsked):
        language = read_language(request, request.query_params.get("language", "") or found.language)
        return get_pages(request).render("confirm", language, asked=found, token=token)
    return _show(request, found)


@router.post("/confirm/{token}")
def confirm(request: Request, token: str) -> Response:
    container = get_container(request)
    with container.transaction() as tx:
        found = subscribing.confirm_subscription(
            tx, container.keys, token, get_evidence(request, f"{container.publisher.public_url}/confirm")
        )
    return _show(request, found)


def _show(request: Request, found: Confirmed | AlreadyConfirmed | ConfirmationExpired | NotOurs) -> Response:
    pages = get_pages(request)
    match found:
        case Confirmed() | AlreadyConfirmed():
            language = read_language(request, request.query_params.get("language", "") or found.language)
            if isinstance(found, Confirmed):
                said = "confirmed"
            else:
                said = "already_confirmed" if found.in_force else "left_since"
            return pages.render("confirmed", language, said=said, control_token=found.control_token)
        case ConfirmationExpired():
            language = read_language(request, request.query_params.get("language", "") or found.language or "")
            return pages.render("expired", language, 410)
        case NotOurs():
            return pages.message("link_unknown", read_language(request), 404)
