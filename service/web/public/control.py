"""The control page: topics, language and pause, from a link in any mail. It shows nothing personal (design §7)."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from service.domain.subscriptions import LONGEST_PAUSE, NotOurs
from service.domain.tokens import TokenKind
from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.usecases import preferences
from service.usecases.preferences import Control
from service.web.deps import Fields, get_container, get_pages, read_form, read_language

router = APIRouter()

PAUSES = {"week": timedelta(days=7), "month": timedelta(days=30)}
DONE = ("saved", "paused", "resumed")


@router.api_route("/c/{token}", methods=["GET", "HEAD"])
def show_control(request: Request, token: str) -> Response:
    container = get_container(request)
    with container.transaction() as tx:
        control = preferences.get_control(tx, container.keys, token)
    done = request.query_params.get("done", "")
    return _show(request, token, control, done=done if done in DONE else "")


@router.post("/c/{token}")
def change_control(request: Request, token: str, fields: Annotated[Fields, Depends(read_form)]) -> Response:
    container = get_container(request)
    action = fields.get("action", ("",))[0]
    try:
        with container.transaction() as tx:
            match action:
                case "save":
                    found = preferences.change_preferences(
                        tx, container.keys, token, language=_language(fields), topics=fields.get("topics", ())
                    )
                case "pause" | "resume":
                    until = _until(fields, tx.now) if action == "pause" else None
                    found = preferences.pause(tx, container.keys, token, until)
                case _:
                    raise _unusable("action_unknown", "action")
    except ServiceError as error:
        if error.kind is not Kind.INVALID:
            raise
        with container.transaction() as tx:
            found = preferences.get_control(tx, container.keys, token)
        return _show(request, token, found, problem=error)
    if isinstance(found, NotOurs):
        return _show(request, token, found)
    done = {"save": "saved", "pause": "paused"}.get(action, "resumed")
    return RedirectResponse(f"/c/{token}?done={done}", 303)


def _show(
    request: Request, token: str, control: Control | NotOurs, *, done: str = "", problem: ServiceError | None = None
) -> Response:
    container, pages = get_container(request), get_pages(request)
    if isinstance(control, NotOurs):
        opened = container.keys.open(TokenKind.CONTROL, token)
        if opened and opened.first == 0:
            return pages.message("test_link", read_language(request))
        if opened:
            return pages.message("nobody_left", read_language(request))
        return pages.message("link_unknown", read_language(request), 404)
    language = read_language(request, request.query_params.get("language", "") or control.language)
    today = container.clock.now().date()
    return pages.render(
        "control",
        language,
        422 if problem else 200,
        control=control,
        token=token,
        done=done,
        problem=problem,
        first_day=today + timedelta(days=1),
        last_day=today + LONGEST_PAUSE - timedelta(days=1),
    )


def _language(fields: Fields) -> Language | None:
    wanted = fields.get("language", ("",))[0]
    if wanted and wanted not in list(Language):
        raise _unusable("language_unknown", "language")
    return Language(wanted) if wanted else None


def _until(fields: Fields, now: datetime) -> datetime:
    pause = fields.get("pause", ("",))[0]
    if pause in PAUSES:
        return now + PAUSES[pause]
    try:
        day = date.fromisoformat(fields.get("until", ("",))[0])
    except ValueError:
        raise _unusable("pause_unreadable", "until") from None
    return datetime.combine(day, time(), UTC)


def _unusable(code: str, field: str) -> ServiceError:
    return ServiceError(Kind.INVALID, code, "A value cannot be used; nothing was changed.", field=field)
