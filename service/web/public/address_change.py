"""The link in the mail to a new address: GET shows a button, POST moves the reader there (D-14)."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.domain.subscriptions import NotOurs
from service.usecases import changing_address
from service.usecases.changing_address import AddressTaken, ChangeAsked, Changed, ChangeGone
from service.web.deps import get_container, get_evidence, get_pages, read_language

router = APIRouter()


@router.api_route("/a/{token}", methods=["GET", "HEAD"])
def show_change(request: Request, token: str) -> Response:
    container = get_container(request)
    with container.transaction() as tx:
        found = changing_address.get_change(tx, container.keys, token)
    if isinstance(found, ChangeAsked):
        language = read_language(request, request.query_params.get("language", "") or found.language)
        return get_pages(request).render("address_change", language, asked=found, token=token)
    return _show(request, found)


@router.post("/a/{token}")
def confirm_change(request: Request, token: str) -> Response:
    container = get_container(request)
    with container.transaction() as tx:
        page_url = f"{container.publisher.public_url}/a"
        found = changing_address.confirm_change(tx, container.keys, token, get_evidence(request, page_url))
    return _show(request, found)


def _show(request: Request, found: Changed | AddressTaken | ChangeGone | NotOurs) -> Response:
    pages, wanted = get_pages(request), request.query_params.get("language", "")
    match found:
        case Changed():
            language = read_language(request, wanted or found.language)
            return pages.render("address_changed", language, address=found.masked_address)
        case AddressTaken():
            return pages.message("address_taken", read_language(request, wanted or found.language), 409)
        case ChangeGone():
            return pages.message("change_gone", read_language(request, wanted), 410)
        case NotOurs():
            return pages.message("link_unknown", read_language(request), 404)
