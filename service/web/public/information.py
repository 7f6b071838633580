"""Pages that stand still: where to sign up, what to do when no mail came, processors, privacy notice, imprint."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from markdown_it import MarkdownIt

from service.errors import Kind, ServiceError
from service.usecases import wording
from service.web.deps import get_container, get_pages, read_language
from service.web.security_headers import UNLISTED

router = APIRouter()


@router.api_route("/", methods=["GET", "HEAD"])
def landing(request: Request) -> Response:
    return get_pages(request).render("landing", read_language(request))


@router.api_route("/help", methods=["GET", "HEAD"])
def help_page(request: Request) -> Response:
    """ "I got no mail", step by step."""
    hours = get_container(request).settings.confirmation_hours
    return get_pages(request).render("help", read_language(request), hours=hours)


@router.api_route("/imprint", methods=["GET", "HEAD"])
def imprint(request: Request) -> Response:
    return get_pages(request).render("imprint", read_language(request))


@router.api_route("/processors", methods=["GET", "HEAD"])
def processors(request: Request) -> Response:
    """Who handles readers' data for the publisher: the register in which the relay has to stand (D-21)."""
    found = get_container(request).processors
    return get_pages(request).render("processors", read_language(request), processors=found)


@router.api_route("/privacy", methods=["GET", "HEAD"])
def privacy(request: Request) -> Response:
    """The notice in force, in the reader's language."""
    return _notice(request, None)


@router.api_route("/privacy/{notice_id}", methods=["GET", "HEAD"])
def privacy_version(request: Request, notice_id: int) -> Response:
    """A version of the notice, also one that is no longer in force: old consents stay bound to it (D-05)."""
    return _notice(request, notice_id)


@router.get("/robots.txt")
def robots() -> Response:
    lines = [f"Disallow: {path}" for path in UNLISTED]
    return PlainTextResponse("\n".join(["User-agent: *", *lines, ""]))


def _notice(request: Request, notice_id: int | None) -> Response:
    container, language = get_container(request), read_language(request)
    with container.transaction() as tx:
        shown = wording.get_notice(tx, language, notice_id)
    if shown is None:
        raise ServiceError(Kind.NOT_FOUND, "not_found", "There is no such version of the privacy notice.")
    body = MarkdownIt("commonmark", {"html": False}).render(shown.body)
    return get_pages(request).render("notice", shown.language, notice=shown, body=body, old=not shown.in_force)
