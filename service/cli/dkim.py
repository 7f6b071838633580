"""`milepost dkim`: the keys that sign our mails, their DNS records, and which of them signs."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.console import Json, note, say, show_json, show_table
from service.cli.opening import read_settings
from service.errors import Kind, ServiceError

if TYPE_CHECKING:
    from service.mail.dkim_keys import KeyDirectory, SigningKey

app = typer.Typer(help="Keys that sign our mails (DKIM).", no_args_is_help=True)


@app.command()
def new(json: Json = False) -> None:
    """Make a key and print its DNS record. It does not sign yet: `milepost dkim rotate` does that."""
    key = _directory().make(datetime.now(UTC))
    if json:
        show_json(_document(key))
        return
    _say_record(key)
    note("Publish this TXT record, wait until it can be seen, then: `milepost dkim rotate --published`.")


@app.command()
def show(json: Json = False) -> None:
    """Every key: its DNS record, whether it signs and since when. No private key is shown."""
    keys = _directory().keys()
    if json:
        show_json({"keys": [_document(key) for key in keys]})
        return
    show_table(
        ("selector", "domain", "made", "signs since", "signed until"),
        ((key.selector, key.domain, key.created_at, key.signing_since, key.signed_until) for key in keys),
        empty="No key yet, so mails are not signed. Make one: `milepost dkim new`.",
    )
    for key in keys:
        _say_record(key)


@app.command()
def rotate(
    published: Annotated[bool, typer.Option("--published", help="You have seen the new key's record in DNS.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Sign with the key before again.")] = False,
    json: Json = False,
) -> None:
    """Sign with the newest key. Keep the record of the one before for two weeks: its mails are still on their way."""
    directory = _directory()
    if undo:
        key = directory.undo(datetime.now(UTC))
    elif published:
        key = directory.rotate(datetime.now(UTC))
    else:
        raise ServiceError(
            Kind.INVALID,
            "not_published",
            "Mails signed with a key that nobody can look up fail; nothing was changed. When you have seen its record "
            "(`milepost dkim show`) in DNS, say so with --published.",
            field="published",
        )
    if json:
        show_json(_document(key))
    else:
        say(f"{key.selector} signs for {key.domain}.")
        note("Running processes sign with it when they are started again.")


def _directory() -> "KeyDirectory":
    from service.bootstrap import dkim_keys

    return dkim_keys(read_settings())


def _document(key: "SigningKey") -> dict[str, object]:
    return {
        "selector": key.selector,
        "domain": key.domain,
        "name": key.name,
        "type": "TXT",
        "record": key.record,
        "strings": list(key.strings),
        "created_at": key.created_at,
        "signing_since": key.signing_since,
        "signed_until": key.signed_until,
        "signs": key.signs,
    }


def _say_record(key: "SigningKey") -> None:
    say(f"{key.name}. IN TXT ( " + " ".join(f'"{string}"' for string in key.strings) + " )")
