"""`milepost token create|list|revoke`: who may use the HTTP API."""

from typing import Annotated

import typer

from service.cli.console import Json, note, say, show_json, show_table
from service.cli.opening import opened, operator_name
from service.domain.words import Role

app = typer.Typer(help="Tokens for the HTTP API.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the token is for; reports name it.", show_default=False)]


@app.command()
def create(
    name: Name,
    role: Annotated[
        list[Role],
        typer.Option("--role", help="What it may: sign_up, campaign or export; may be repeated.", show_default=False),
    ],
    json: Json = False,
) -> None:
    """Make a token. It is shown once and kept as a hash only; roles cannot be added later."""
    from service.usecases.access import create_token

    with opened() as container, container.transaction() as tx:
        created = create_token(tx, name, role, by=operator_name())
    if json:
        show_json(created)
        return
    say(created.token)
    note("Keep it now: it is not shown again. Use it as `Authorization: Bearer …`.")


@app.command("list")
def list_(json: Json = False) -> None:
    """Show every token's name and roles, when it was last used and whether it was revoked."""
    from service.store.tokens import list_tokens

    fields = ("name", "roles", "created_at", "last_used_at", "revoked_at")
    with opened() as container, container.transaction() as tx:
        rows = [{field: getattr(token, field) for field in fields} for token in list_tokens(tx)]
    if json:
        show_json(rows)
    else:
        show_table(
            ("name", "roles", "created", "last used", "revoked"),
            (tuple((row | {"roles": ", ".join(row["roles"]) or None}).values()) for row in rows),
            empty="There is no token yet. `milepost token create NAME --role …` makes one.",
        )


@app.command()
def revoke(name: Name, json: Json = False) -> None:
    """Close a token at once and for good."""
    from service.usecases.access import revoke_token

    with opened() as container, container.transaction() as tx:
        revoke_token(tx, name)
    if json:
        show_json({"name": name, "revoked": True})
    else:
        say(f"The token {name} opens nothing any more.")
