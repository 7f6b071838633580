"""Refusals as HTTP, in one place: a page for readers, problem+json (RFC 9457) for programs, never a stack trace."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError
from starlette.exceptions import HTTPException

from service.errors import Kind, ServiceError
from service.web.deps import get_container, get_pages, read_language, wants_json
from service.web.security_headers import headers_for

log = structlog.get_logger(__name__)

STATUS = {
    Kind.INVALID: 422,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.FORBIDDEN: 403,
    Kind.GONE: 410,
    Kind.TOO_MANY: 429,
    Kind.UNAVAILABLE: 503,
}

PAGES = {
    400: "malformed",
    404: "not_found",
    405: "not_allowed",
    413: "too_large",
    415: "wrong_type",
    503: "unavailable",
}
"""Statuses with a page of their own; every other shows `refused` or, from 500 on, `failed`."""

SERVER_ERROR = 500
READS = ("GET", "HEAD")


def install(app: FastAPI) -> None:
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(OperationalError, _database_away)
    app.add_exception_handler(NoConnectionFreeError, _database_away)
    app.add_exception_handler(Exception, _bug)


def problem(status: int, code: str, detail: str, **more: Any) -> JSONResponse:
    """An RFC 9457 problem. `code` is for programs and stays; `detail` is for people."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    return JSONResponse(body | more, status, media_type="application/problem+json")


def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    status = STATUS[error.kind]
    if _for_program(request):
        more = {"field": error.field} if error.field else {}
        return problem(status, error.code, _in_words(request, error.code, error.message), **more)
    pages, language = get_pages(request), read_language(request)
    if f"message.{error.code}.title" in pages.texts.keys(language):
        return _page(request, error.code, status)
    return _page(request, PAGES.get(status, "refused"), status)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = PAGES.get(error.status_code, "failed" if error.status_code >= SERVER_ERROR else "refused")
    if _for_program(request):
        answer: Response = problem(error.status_code, code, _in_words(request, code, str(error.detail)))
    else:
        answer = _page(request, code, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


def _validation_error(request: Request, error: Exception) -> Response:
    """What FastAPI found wrong with parameters; its own text repeats the input, ours does not."""
    assert isinstance(error, RequestValidationError)
    errors = [{"field": ".".join(str(part) for part in e["loc"][1:]), "message": e["msg"]} for e in error.errors()]
    if _for_program(request):
        return problem(422, "invalid", "Some values cannot be used; nothing was changed.", errors=errors)
    return _page(request, "not_found", 404)


def _database_away(request: Request, error: Exception) -> Response:
    log.error("database_unavailable", error=type(error).__name__)
    return _http_error(request, HTTPException(503, headers={"Retry-After": "30"}))


def _bug(request: Request, _: Exception) -> Response:
    """The server logs the trace; this runs outside every other layer, so it brings the headers itself."""
    answer = _http_error(request, HTTPException(SERVER_ERROR))
    https = get_container(request).settings.public_url.startswith("https://")
    answer.headers.update(headers_for(request.url.path, https=https))
    return answer


def _page(request: Request, key: str, status: int) -> Response:
    """Without links to other languages where they would ask for what was sent: that path may have no page (405)."""
    switch = "" if request.method in READS else None
    return get_pages(request).message(key, read_language(request), status, switch=switch)


def _for_program(request: Request) -> bool:
    return request.url.path.startswith("/api/") or wants_json(request)


def _in_words(request: Request, code: str, otherwise: str) -> str:
    """For readers' programs in their language; operators' API is in English."""
    pages, language = get_pages(request), read_language(request)
    if request.url.path.startswith("/api/"):
        return otherwise
    for key in (f"problem.{code}", f"message.{code}.body"):
        if key in pages.texts.keys(language):
            return pages.texts.text(language, key)
    return otherwise
