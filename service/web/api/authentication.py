"""Who is asking, before anything else: an operator's route looks at the token, the content type, then the body."""

from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from service.domain.words import Role
from service.usecases.access import Operator, find_operator, require_role
from service.web.deps import get_container, media_type
from service.web.errors import problem


class OperatorRoute(APIRoute):
    """Leaves whom the token acts for in `request.state.operator`. Refusals of the rest: web/errors.py.

    A route is of one of the classes below: which role its token needs is never left open.
    """

    role: ClassVar[Role]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        needs = f"Needs the role `{self.role.value}`."
        if needs not in self.description:
            self.description = f"{self.description}\n\n{needs}".strip()

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def handle(request: Request) -> Response:
            operator = await run_in_threadpool(_find_operator, request)
            if operator is None:
                return _who_are_you(request)
            if not await run_in_threadpool(request.app.state.token_limit.take, operator.name):
                return _too_many()
            require_role(operator, self.role)
            request.state.operator = operator
            if _has_body(request) and media_type(request) != "application/json":
                return problem(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    "wrong_type",
                    "The body must be JSON and say so (Content-Type: application/json); nothing was done.",
                )
            return await handler(request)

        return handle


class SignupRoute(OperatorRoute):
    role = Role.SIGN_UP


class CampaignRoute(OperatorRoute):
    role = Role.CAMPAIGN


class ExportRoute(OperatorRoute):
    role = Role.EXPORT


def get_operator(request: Request) -> Operator:
    operator: Operator = request.state.operator
    return operator


def get_operator_name(request: Request) -> str:
    return get_operator(request).name


def _find_operator(request: Request) -> Operator | None:
    token = _token(request)
    if not token:
        return None
    with get_container(request).transaction() as tx:
        return find_operator(tx, token)


def _token(request: Request) -> str:
    """What follows `Bearer` (RFC 6750 §2.1); empty if nothing does."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _who_are_you(request: Request) -> Response:
    if _token(request):
        code, detail = "token_invalid", "This API token is unknown or was revoked; nothing was done. Use another."
        challenge = 'Bearer realm="milepost", error="invalid_token"'  # RFC 6750 §3.1
    else:
        code, challenge = "token_missing", 'Bearer realm="milepost"'
        detail = "This needs an API token; nothing was done. `milepost token create` makes one: Authorization: Bearer …"
    answer = problem(HTTPStatus.UNAUTHORIZED, code, detail)
    answer.headers["WWW-Authenticate"] = challenge
    return answer


def _too_many() -> Response:
    answer = problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "token_limit",
        "This token has sent more requests within a minute than it may (MILEPOST_API_PER_MINUTE); nothing was done. "
        "Wait a minute.",
    )
    answer.headers["Retry-After"] = "60"
    return answer


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
