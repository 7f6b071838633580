"""How an API route begins and ends: first a bearer token, then JSON only; a refusal is problem+json (RFC 9457)."""

from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from service.bootstrap import Container
from service.errors import Kind, ServiceError
from service.usecases.access import find_operator

LARGEST_BODY = 256 * 1024
"""Bytes. A campaign's text is the largest thing anybody posts here."""

STATUS = {
    Kind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.GONE: HTTPStatus.GONE,
    Kind.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Refused(Exception):  # noqa: N818 - an answer on its way out, not an error
    """Ends a request with a problem; never leaves this module."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def problem(
    status: int, code: str, message: str, *, headers: dict[str, str] | None = None, **more: object
) -> JSONResponse:
    """`code` is stable, for programs; `detail` is for people; `errors` and `field` say where the fault is."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": message,
        **{name: value for name, value in more.items() if value},
    }
    return JSONResponse(body, status, media_type="application/problem+json", headers=headers)


class OperatorRoute(APIRoute):
    """Asks who is there before it reads a byte of the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                request.state.operator = await run_in_threadpool(_operator, request)
                await _check_body(request)
                return await handler(request)
            except Refused as refused:
                headers = {"WWW-Authenticate": 'Bearer realm="milepost"'} if refused.status == _UNAUTHORIZED else None
                return problem(refused.status, refused.code, refused.message, headers=headers)
            except ServiceError as error:
                return problem(STATUS[error.kind], error.code, error.message, field=error.field)
            except RequestValidationError as error:
                return _validation_problem(error)
            except HTTPException as error:
                return problem(error.status_code, "malformed", f"{error.detail}. Nothing was done.")

        return handle


_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED


def _operator(request: Request) -> str:
    """The name that the request's token acts under."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(
            _UNAUTHORIZED,
            "token_missing",
            "This needs an API token; nothing was done. Send `Authorization: Bearer …`; `milepost token create` makes "
            "one.",
        )
    container: Container = request.app.state.container
    with container.transaction() as tx:
        name = find_operator(tx, token.strip())
    if name is None:
        raise Refused(
            _UNAUTHORIZED, "token_invalid", "This API token is unknown or was revoked; nothing was done. Use another."
        )
    return name


async def _check_body(request: Request) -> None:
    """Read at most `LARGEST_BODY` and keep it for the handler; refuse what is not JSON."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "body_too_large",
                f"The body is larger than {LARGEST_BODY // 1024} kB; nothing was done.",
            )
    request._body = bytes(body)  # noqa: SLF001 - where Starlette's own Request.body() keeps it
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and content_type != "application/json":
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "The body must be JSON and say so (Content-Type: application/json); nothing was done.",
        )


def _validation_problem(error: RequestValidationError) -> Response:
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"] if part != "body"), "message": fault["msg"]}
        for fault in error.errors()
    ]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid",
        "The request does not fit; nothing was done. `errors` says where.",
        errors=faults,
    )
