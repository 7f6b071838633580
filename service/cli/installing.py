"""`milepost secrets`, `settings` and `migrate`: what is done once per installation or version."""

import os
import secrets as random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from service.cli.console import Json, note, say, show_json, show_table
from service.cli.opening import opened, read_settings
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from service.settings import Settings

app = typer.Typer()
PASSWORDS = ("postgres_password", "owner_password", "app_password", "redis_password")


@app.command()
def secrets(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Write every secret of an installation here, one file each, readable by you only."),
    ] = None,
    database_host: Annotated[str, typer.Option(help="Host in the database URLs (with --dir).")] = "postgres",
    redis_host: Annotated[str, typer.Option(help="Host in the Redis URL (with --dir).")] = "redis",
) -> None:
    """Make random secrets. Without --dir: print one for MILEPOST_SECRET_KEY. Files that exist are never overwritten."""
    from service.store.migrate import APP, OWNER

    if directory is None:
        say(random.token_urlsafe(48))
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("secret_key", *PASSWORDS):
        _tell(directory / name, _write_new(directory / name, random.token_urlsafe(48)))
    # Read back: a URL is made from the password that stands in its file, also when that one was kept.
    password = {name: quote((directory / name).read_text(encoding="utf-8").strip(), safe="") for name in PASSWORDS}
    for name, url in {
        "admin_database_url": f"postgresql://postgres:{password['postgres_password']}@{database_host}/postgres",
        "owner_database_url": f"postgresql://{OWNER}:{password['owner_password']}@{database_host}/milepost",
        "database_url": f"postgresql://{APP}:{password['app_password']}@{database_host}/milepost",
        "redis_url": f"redis://:{password['redis_password']}@{redis_host}:6379/0",
    }.items():
        _tell(directory / name, _write_new(directory / name, url))


def _tell(path: Path, made: bool) -> None:
    note(f"{'made' if made else 'kept'} {path}")


def _write_new(path: Path, value: str) -> bool:
    """Whether it was written; O_EXCL, so that two first starts at once agree on one value."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value + "\n")
    return True


@app.command()
def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md.")] = False,
    json: Json = False,
) -> None:
    """Explain every setting. Shows no values: `milepost doctor` says whether yours can be used."""
    from service.cli import documentation

    if json:
        show_json(documentation.document_settings())
    elif markdown:
        say(documentation.settings_page().rstrip("\n"))
    else:
        show_table(
            ("variable", "default", "meaning"),
            (
                (s.variable, "(required)" if s.default is None else s.default or None, s.description)
                for s in documentation.document_settings()
            ),
            empty="",
        )


@app.command(hidden=True)
def commands() -> None:
    """Print docs/cli.md."""
    from service.cli import app as tree
    from service.cli import documentation

    say(documentation.commands_page(tree.app, tree.EPILOG).rstrip("\n"))


@app.command()
def migrate(
    admin_url_file: Annotated[
        Path | None,
        typer.Option(help="File with the URL of a role that may create roles and databases; creates Milepost's."),
    ] = None,
    json: Json = False,
) -> None:
    """Bring the database to this version: roles (with --admin-url-file), tables, then the words readers agree to."""
    from service.store import migrate as migrations

    settings = read_settings(or_demo=False)
    if settings.owner_database_url is None:
        raise ConfigurationError(
            "MILEPOST_OWNER_DATABASE_URL is missing; nothing was migrated. It names the same database as "
            "MILEPOST_DATABASE_URL with the login role `owner`, which alone may alter tables."
        )
    if admin_url_file is not None:
        _create_roles(settings, admin_url_file)
    applied = migrations.upgrade(settings.owner_database_url)
    _publish_wording()
    if json:
        show_json({"applied": applied})
    else:
        say(f"Applied {', '.join(applied)}." if applied else "The database was up to date.")


def _create_roles(settings: "Settings", admin_url_file: Path) -> None:
    from sqlalchemy import make_url

    from service.store import migrate as migrations

    try:
        admin_url = admin_url_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{admin_url_file} cannot be read: {error.strerror}; nothing was migrated.") from None
    app_url, owner_url = make_url(settings.database_url), make_url(settings.owner_database_url or "")
    for url, role in ((owner_url, migrations.OWNER), (app_url, migrations.APP)):
        if url.username != role or not url.password:
            raise ConfigurationError(
                f"The database URLs must name the roles {migrations.OWNER} and {migrations.APP} with their passwords, "
                f"so that these can be created; one names {url.username or 'nobody'}. Nothing was migrated."
            )
    scheme, _, rest = admin_url.partition("://")
    migrations.create_roles(
        f"postgresql+psycopg://{rest}" if scheme.startswith("postgres") else admin_url,
        app_url.database or "milepost",
        str(owner_url.password),
        str(app_url.password),
    )


def _publish_wording() -> None:
    from service.usecases import wording

    with opened("migrate") as container, container.transaction() as tx:
        wording.publish(tx, container.publisher, container.circumstances)
