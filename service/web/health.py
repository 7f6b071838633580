"""Whether this process runs, and whether it can serve. For supervisors; says nothing about readers."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

from service.store import migrate
from service.web.deps import get_container

router = APIRouter(prefix="/health", include_in_schema=False)


@router.get("/live")
def live() -> JSONResponse:
    return JSONResponse({"status": "ok"})


@router.get("/ready")
def ready(request: Request) -> JSONResponse:
    """503 while the database cannot be reached or is behind the code. Redis may be away: nothing rests on it."""
    try:
        pending = migrate.pending(get_container(request).engine)
    except (OperationalError, ProgrammingError, NoConnectionFreeError):
        return JSONResponse({"status": "unavailable", "database": "unreachable"}, 503)
    if pending:
        return JSONResponse({"status": "unavailable", "database": "migrations pending", "pending": pending}, 503)
    return JSONResponse({"status": "ok", "database": "ok"})
