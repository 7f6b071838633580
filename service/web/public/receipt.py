"""The receipt of a consent, for its reader: a page, and the same for programs. It names nobody (D-10)."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from service.domain.subscriptions import NotOurs
from service.domain.tokens import TokenKind
from service.usecases import receipts
from service.usecases.receipts import Receipt
from service.web.deps import get_container, get_pages, read_language
from service.web.public.lost import lost

router = APIRouter()


@router.api_route("/r/{token}.json", methods=["GET", "HEAD"])
def receipt_document(request: Request, token: str) -> Response:
    """Kantara Consent Receipt 1.1 with an ISO/IEC TS 27560 record; docs/consent-receipt.schema.json."""
    found = _find(request, token)
    return lost(request, TokenKind.RECEIPT, token) if isinstance(found, NotOurs) else JSONResponse(found.document)


@router.api_route("/r/{token}", methods=["GET", "HEAD"])
def show_receipt(request: Request, token: str) -> Response:
    found = _find(request, token)
    if isinstance(found, NotOurs):
        return lost(request, TokenKind.RECEIPT, token)
    language = read_language(request, request.query_params.get("language", "") or found.reader_language)
    return get_pages(request).render("receipt", language, receipt=found, token=token)


def _find(request: Request, token: str) -> Receipt | NotOurs:
    container = get_container(request)
    with container.transaction() as tx:
        return receipts.get_receipt(tx, container.keys, container.publisher, token)
