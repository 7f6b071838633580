"""Proof of consent over the API. A POST: it leaves an audit entry, and the address stays out of the access logs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from service.looks.proofs import render_proof
from service.usecases.proving import prove
from service.web.api import models
from service.web.api.authentication import ExportRoute, get_operator_name
from service.web.deps import get_container

router = APIRouter(route_class=ExportRoute)

_AS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, "text/html": {}}},
    403: {"description": "Forbidden"},
    409: {"description": "Conflict: the history of this person was changed, or a key is gone that nobody erased"},
}


@router.post("/consent/proof", response_class=JSONResponse, responses=_AS)
def prove_consent(
    given: models.ProofAsked, request: Request, by: Annotated[str, Depends(get_operator_name)]
) -> Response:
    """The whole proof of one person's consent, as JSON or, where text/html is accepted, as a page to print.

    `milepost consent check` checks the JSON.
    """
    container = get_container(request)
    with container.transaction() as tx:
        made = prove(tx, container.keys, container.erasure_log, given.address, actor=by, reason=given.reason)
    page = "text/html" in request.headers.get("accept", "")
    name = f"consent-proof-{made.number}.{'html' if page else 'json'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return (
        HTMLResponse(render_proof(made.proof), headers=headers) if page else JSONResponse(made.proof, headers=headers)
    )
