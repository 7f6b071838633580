"""The operators' API under /api/v1: thin routes over the use cases that the command line calls too."""

from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer

from service.bootstrap import Container
from service.domain.words import Lane
from service.errors import Kind, ServiceError
from service.ports import Hint
from service.store import reports, sources
from service.store.transaction import Transaction
from service.usecases import campaigning, digesting
from service.web.api import models, proofs, signups
from service.web.api.authentication import CampaignRoute, get_operator_name
from service.web.api.models import Id, Slug
from service.web.deps import get_container

PREFIX = "/api/v1"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status.value: {
        "description": status.phrase,
        "content": {"application/problem+json": {"schema": models.ProblemOut.model_json_schema()}},
    }
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
}

router = APIRouter(prefix=PREFIX)
operators = APIRouter(
    route_class=CampaignRoute,
    responses=PROBLEMS,
    generate_unique_id_function=lambda route: route.name,
    # For the OpenAPI document; the route class does the asking, before a body is read.
    dependencies=[Depends(HTTPBearer(auto_error=False))],
)


Wired = Annotated[Container, Depends(get_container)]
By = Annotated[str, Depends(get_operator_name)]


@operators.post("/digests/{slug}/runs", status_code=HTTPStatus.ACCEPTED)
def run_digest(slug: Slug, container: Wired, by: By, response: Response) -> models.RunStarted:
    """Run a digest now. Follow GET /campaigns/{campaign_id}."""
    with container.transaction() as tx:
        started = digesting.start_run(tx, slug, by=by)
    response.headers["Location"] = f"{PREFIX}/campaigns/{started.campaign_id}"
    return models.RunStarted(run_id=started.run_id, campaign_id=started.campaign_id)


@operators.get("/campaigns")
def list_campaigns(container: Wired, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> models.Campaigns:
    """The newest campaigns first, runs of digests included."""
    with container.transaction() as tx:
        found = reports.list_campaign_reports(tx, limit)
    return models.Campaigns(campaigns=[models.CampaignOut.model_validate(report) for report in found])


@operators.post("/campaigns", status_code=HTTPStatus.CREATED)
def create_campaign(given: models.NewCampaign, container: Wired, by: By, response: Response) -> models.CampaignOut:
    """Keep a draft. Nothing is sent before POST /campaigns/{id}/send."""
    container.writer.check_body(given.body)
    with container.transaction() as tx:
        campaign_id = campaigning.create_campaign(
            tx,
            list_slug=given.list,
            purpose=given.purpose,
            name=given.name or given.subject,
            subject=given.subject,
            body=given.body,
            layout=given.layout,
            expire_after=given.expire_after,
            by=by,
        )
        made = _report(tx, campaign_id)
    response.headers["Location"] = f"{PREFIX}/campaigns/{campaign_id}"
    return made


@operators.get("/campaigns/{campaign_id}")
def get_campaign(campaign_id: Id, container: Wired) -> models.CampaignOut:
    """The report as it stands now."""
    with container.transaction() as tx:
        return _report(tx, campaign_id)


@operators.post("/campaigns/{campaign_id}/test", status_code=HTTPStatus.ACCEPTED)
def send_test(campaign_id: Id, given: models.TestMail, container: Wired, by: By) -> models.TestQueued:
    """One test mail to an operator's address; its links act for nobody. Leaves an entry in the audit log.

    Refused for an address that is not mailed (409) and beyond MILEPOST_TEST_MAILS_PER_DAY (429).
    """
    delivery_id = campaigning.send_test(
        container.transaction,
        container.keys,
        campaign_id,
        address=given.address,
        language=given.language,
        by=by,
        per_day=container.settings.test_mails_per_day,
    )
    return models.TestQueued(campaign_id=campaign_id, delivery_id=delivery_id)


@operators.post("/campaigns/{campaign_id}/send", status_code=HTTPStatus.ACCEPTED)
def send_campaign(campaign_id: Id, container: Wired, by: By) -> models.CampaignOut:
    """Order a draft: the text is frozen, the audience planned, and sending begins. Follow GET /campaigns/{id}."""
    with container.transaction() as tx:
        campaigning.order_campaign(tx, campaign_id, by=by)
        return _report(tx, campaign_id)


@operators.post("/campaigns/{campaign_id}/pause")
def pause_campaign(campaign_id: Id, container: Wired, by: By, given: models.Reason | None = None) -> models.CampaignOut:
    """Stop sending; what is on the wire is finished."""
    with container.transaction() as tx:
        campaigning.pause_campaign(tx, campaign_id, by=by, reason=given.reason if given else None)
        return _report(tx, campaign_id)


@operators.post("/campaigns/{campaign_id}/resume")
def resume_campaign(campaign_id: Id, container: Wired, by: By) -> models.CampaignOut:
    """Go on with a paused campaign."""
    with container.transaction() as tx:
        campaigning.resume_campaign(tx, campaign_id, by=by)
        return _report(tx, campaign_id)


@operators.post("/campaigns/{campaign_id}/cancel")
def cancel_campaign(
    campaign_id: Id, container: Wired, by: By, given: models.Reason | None = None
) -> models.CampaignOut:
    """End a campaign for good; who has it keeps it."""
    with container.transaction() as tx:
        campaigning.cancel_campaign(tx, campaign_id, by=by, reason=given.reason if given else None)
        return _report(tx, campaign_id)


@operators.post("/campaigns/{campaign_id}/resolve")
def resolve_uncertain(campaign_id: Id, given: models.Decision, container: Wired, by: By) -> models.Resolved:
    """Decide what becomes of deliveries of which nobody knows whether they arrived."""
    with container.transaction() as tx:
        resolved = campaigning.resolve_uncertain(tx, campaign_id, given.decision, by=by)
        return models.Resolved(resolved=resolved, campaign=_report(tx, campaign_id))


@operators.post("/content/pull", status_code=HTTPStatus.ACCEPTED)
def pull_content(container: Wired) -> models.PullHinted:
    """Have the sources read now, by a worker: the web process reaches nothing outside."""
    with container.transaction() as tx:
        tx.hint(Hint.PULL_CONTENT, Lane.INBOUND)
    return models.PullHinted()


@operators.get("/content/sources")
def list_sources(container: Wired) -> models.Sources:
    """Every source, when it was last read, and what went wrong."""
    with container.transaction() as tx:
        return models.Sources(sources=[models.SourceOut.model_validate(s) for s in sources.list_sources(tx)])


@operators.get("/overview")
def get_overview(container: Wired) -> dict[str, Any]:
    """Counts of readers, sign-ups, consent events and deliveries. Names nobody."""
    with container.transaction() as tx:
        return reports.get_overview(tx)


def _report(tx: Transaction, campaign_id: int) -> models.CampaignOut:
    report = reports.get_campaign_report(tx, campaign_id)
    if report is None:
        raise ServiceError(Kind.NOT_FOUND, "campaign_unknown", f"There is no campaign {campaign_id}; nothing was done.")
    return models.CampaignOut.model_validate(report)


operators.include_router(signups.router)
operators.include_router(proofs.router)
router.include_router(operators)


@router.get("/openapi.json", include_in_schema=False)
def describe() -> dict[str, Any]:
    """The OpenAPI document; the only page of this API that needs no token."""
    return get_openapi(title="Milepost", version=version("milepost"), routes=router.routes)
