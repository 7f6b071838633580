"""Proof of consent over the API. A POST: it leaves an audit entry, and the address stays out of the access logs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from service.domain.words import Role
from service.looks.proofs import render_proof
from service.usecases.access import Operator, require_role
from service.usecases.proving import prove
from service.web.api import models
from service.web.api.authentication import OperatorRoute, get_operator
from service.web.deps import get_container

router = APIRouter(route_class=OperatorRoute)

_AS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, "text/html": {}}},
    403: {"description": "Forbidden"},
}


@router.post("/consent/proof", response_class=JSONResponse, responses=_AS)
def prove_consent(
    given: models.ProofAsked, request: Request, operator: Annotated[Operator, Depends(get_operator)]
) -> Response:
    """The whole proof of one person's consent, as JSON or, where text/html is accepted, as a page to print.

    Needs the role `export`. `milepost consent check` checks the JSON.
    """
    require_role(operator, Role.EXPORT)
    container = get_container(request)
    with container.transaction() as tx:
        made = prove(tx, container.keys, given.address, actor=operator.name, reason=given.reason)
    page = "text/html" in request.headers.get("accept", "")
    name = f"consent-proof-{made.number}.{'html' if page else 'json'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return (
        HTMLResponse(render_proof(made.proof), headers=headers) if page else JSONResponse(made.proof, headers=headers)
    )
