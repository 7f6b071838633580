"""What an error means for somebody at a terminal: an exit code, a stable code and one clear line.

What is not listed here is a bug and shows its traceback.
"""

from dataclasses import dataclass

import typer
from typer.exceptions import TyperException

from service.cli.console import ExitCode
from service.errors import ConfigurationError, ServiceError


@dataclass(frozen=True, slots=True)
class Refusal:
    exit_code: int
    code: str
    message: str
    field: str | None = None

    def document(self) -> dict[str, dict[str, str]]:
        body = {"code": self.code, "message": self.message}
        if self.field:
            body["field"] = self.field
        return {"error": body}


def explain(error: BaseException) -> Refusal | None:
    """None for what nobody expected."""
    if isinstance(error, ServiceError):
        return Refusal(ExitCode.REFUSED, error.code, error.message, error.field)
    if isinstance(error, ConfigurationError):
        return Refusal(ExitCode.CONFIGURATION, "configuration", str(error))
    if isinstance(error, TyperException):
        if type(error).__name__ == "NoArgsIsHelpError":  # `milepost token`: the help is the answer
            return Refusal(ExitCode.USAGE, "usage", error.format_message().strip())
        where = getattr(error, "ctx", None)
        advice = f" See `{where.command_path} --help`." if where is not None else ""
        return Refusal(ExitCode.USAGE, "usage", f"{error.format_message()}{advice} Nothing was done.")
    if isinstance(error, typer.Abort):
        return Refusal(ExitCode.REFUSED, "aborted", "Stopped before anything was done.")
    return _database_trouble(error)


def _database_trouble(error: BaseException) -> Refusal | None:
    from sqlalchemy.exc import DBAPIError

    if not isinstance(error, DBAPIError):
        return None
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate == "42P01":  # undefined_table
        return Refusal(
            ExitCode.CONFIGURATION,
            "database_not_migrated",
            "The database has no tables of Milepost yet; nothing was done. Run `milepost migrate`.",
        )
    # libpq gives no state when it cannot connect; classes 08, 28, 3D, 53 and 57 are the server's ways of saying so.
    if sqlstate is None or sqlstate[:2] in ("08", "28", "3D", "53", "57"):
        return Refusal(
            ExitCode.CONFIGURATION,
            "database_unreachable",
            f"PostgreSQL cannot be used: {first_line(error.orig)}. Whatever was begun was rolled back. "
            "Check that the server runs and MILEPOST_DATABASE_URL; `milepost doctor` looks at everything.",
        )
    return None


def first_line(error: object) -> str:
    """What a server or library said, cut to its first line: the rest is for developers."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
