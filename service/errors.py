"""What can go wrong, as types. Nothing here knows HTTP, SQL or the terminal.

    MilepostError
    ├── ServiceError        a refusal: an edge turns it into a 4xx page, a problem+json body or an exit code
    └── ConfigurationError  stops the start; only a worker catches it, while PostgreSQL is away

Expected results of a use case are values, not exceptions; bugs are whatever Python raises.
"""

from enum import StrEnum


class Kind(StrEnum):
    """What sort of refusal it is. `web/errors.py` maps each to one HTTP status, `cli/` to one exit code."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


class MilepostError(Exception):
    """The root, for edges only."""


class ServiceError(MilepostError):
    """A refusal with a stable `code` for programs and a `message` for people.

    The message says what happened, what was not done and what to do next. `field` names the input at fault, if one is.
    """

    def __init__(self, kind: Kind, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.field = field


class ConfigurationError(MilepostError):
    """A setting is missing, unknown or unsafe, or a server it names cannot be used. The process does not start."""


class DatabaseAwayError(ConfigurationError):
    """PostgreSQL does not answer. Who was started together with it may wait for it."""
