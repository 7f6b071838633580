"""The control page: topics, rhythm, hour, language and pause, from a link in any mail. It shows nothing personal
(design §7); what we hold needs a fresh link, which is asked for here."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from service.domain.subscriptions import LONGEST_PAUSE, NotOurs
from service.domain.tokens import TokenKind
from service.domain.words import Language, Rhythm
from service.errors import Kind, ServiceError
from service.usecases import preferences, private
from service.usecases.preferences import Arrival, Control
from service.web.deps import Fields, get_container, get_pages, read_form, read_language
from service.web.public.lost import lost
from service.web.time_zones import USUAL, is_offered, zones_by_region

router = APIRouter()

LONGEST_HOUR = 2
"""Digits."""
PAUSES = {"week": timedelta(days=7), "month": timedelta(days=30)}
DONE = {"save": "saved", "rhythm": "saved", "pause": "paused", "resume": "resumed", "link": "link"}
"""Button → what the page says afterwards."""


@router.api_route("/c/{token}", methods=["GET", "HEAD"])
def show_control(request: Request, token: str) -> Response:
    container = get_container(request)
    with container.transaction() as tx:
        control = preferences.get_control(tx, container.keys, token)
    done = request.query_params.get("done", "")
    return _show(request, token, control, done=done if done in DONE.values() else "")


@router.post("/c/{token}")
def change_control(request: Request, token: str, fields: Annotated[Fields, Depends(read_form)]) -> Response:
    container = get_container(request)
    action = fields.get("action", ("",))[0]
    try:
        with container.transaction() as tx:
            match action:
                case "save":
                    found: Control | NotOurs | private.LinkAsked = preferences.change_preferences(
                        tx,
                        container.keys,
                        token,
                        language=_language(fields),
                        topics=fields.get("topics", ()),
                        rhythm=_rhythm(fields),
                        arrival=_arrival(fields),
                    )
                case "rhythm":  # beside an unsubscribe: this and nothing else
                    found = preferences.change_preferences(tx, container.keys, token, rhythm=_rhythm(fields))
                case "pause" | "resume":
                    until = _until(fields, tx.now) if action == "pause" else None
                    found = preferences.pause(tx, container.keys, token, until)
                case "link":
                    found = private.ask_private_link(tx, container.keys, token)
                case _:
                    raise _unusable("action_unknown", "action")
    except ServiceError as error:
        if error.kind is not Kind.INVALID:
            raise
        with container.transaction() as tx:
            shown = preferences.get_control(tx, container.keys, token)
        return _show(request, token, shown, problem=error)
    if isinstance(found, NotOurs):
        return _show(request, token, found)
    return RedirectResponse(f"/c/{token}?done={DONE[action]}", 303)


def _show(
    request: Request, token: str, control: Control | NotOurs, *, done: str = "", problem: ServiceError | None = None
) -> Response:
    container, pages = get_container(request), get_pages(request)
    if isinstance(control, NotOurs):
        return lost(request, TokenKind.CONTROL, token)
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
        rhythms=list(Rhythm),
        regions=zones_by_region(language),
        chosen_zone=control.arrival.time_zone or USUAL[control.language],
        other_zone=zone if (zone := control.arrival.time_zone) and not is_offered(zone) else None,
        first_day=today + timedelta(days=1),
        last_day=today + LONGEST_PAUSE - timedelta(days=1),
    )


def _language(fields: Fields) -> Language | None:
    wanted = fields.get("language", ("",))[0]
    if wanted and wanted not in list(Language):
        raise _unusable("language_unknown", "language")
    return Language(wanted) if wanted else None


def _rhythm(fields: Fields) -> Rhythm | None:
    wanted = fields.get("rhythm", ("",))[0]
    if wanted and wanted not in list(Rhythm):
        raise _unusable("rhythm_unknown", "rhythm")
    return Rhythm(wanted) if wanted else None


def _arrival(fields: Fields) -> Arrival | None:
    """The time zone counts only beside an hour; an empty hour is as soon as the digest is ready."""
    if "hour" not in fields:
        return None
    wanted = fields["hour"][0]
    if not wanted:
        return Arrival(None, None)
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= LONGEST_HOUR):
        raise _unusable("hour_unknown", "hour")
    return Arrival(int(wanted), fields.get("time_zone", ("",))[0] or None)


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
