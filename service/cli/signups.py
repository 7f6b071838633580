"""`milepost signups held|list|release|drop`: sign-ups held back in a surge, and those worth a second look."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.console import Json, note, say, show_json, show_table
from service.cli.opening import opened, opened_to_act, operator_name
from service.domain.addresses import mask_address
from service.domain.oddities import find_oddities

if TYPE_CHECKING:
    from service.store.schema import Signup

app = typer.Typer(help="Sign-ups that wait for you, and those worth a second look.", no_args_is_help=True)

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="As `held --domain …` shows them.")]
Domain = Annotated[str | None, typer.Option(help="All of this domain, written as `held` shows it.")]
Form = Annotated[str | None, typer.Option(help="All that came by this form.")]
Reason = Annotated[str, typer.Option(help="Why; stands in the audit log. No addresses.", show_default=False)]


@app.command()
def held(domain: Domain = None, json: Json = False) -> None:
    """Show what is held: far more than usual came for a domain or by a form (E-05). With --domain, one by one."""
    from service.store.surges import list_held
    from service.usecases.holding_back import list_surges

    with opened() as container, container.transaction() as tx:
        if domain is not None:
            rows = [_row(signup, form) for signup, form in list_held(tx, domain=domain.lower())]
        else:
            surges = list_surges(tx)
    if domain is not None:
        _show(rows, json, empty=f"No sign-up for {domain} is held.")
        return
    if json:
        show_json(surges)
        return
    show_table(
        ("domain", "form", "held", "oldest", "newest", "last hour", "usual hour", "worth a look"),
        (
            (
                s.domain,
                s.form,
                s.held,
                s.oldest_at,
                s.newest_at,
                s.last_hour,
                f"{s.usual_hour:g}",
                _odd(f"x@{s.domain}"),
            )
            for s in surges
        ),
        empty="No sign-up is held.",
    )
    if surges:
        note("They go by themselves when it is over, a few at a time, and are closed after a day.")
        note("`milepost signups release --domain …` lets them go now; `drop` closes them, and nobody is mailed.")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest to look at.")] = 50,
    odd: Annotated[bool, typer.Option("--odd", help="Only those worth a second look (E-10).")] = False,
    json: Json = False,
) -> None:
    """Show the newest sign-ups: masked, with the domain as mailed to and what is odd about the address."""
    from service.store.signups import list_newest

    with opened() as container, container.transaction() as tx:
        rows = [_row(signup, form) for signup, form in list_newest(tx, limit)]
    _show([row for row in rows if row["odd"] or not odd], json, empty="There is no such sign-up.")


@app.command()
def release(ids: Ids = None, *, domain: Domain = None, form: Form = None, reason: Reason, json: Json = False) -> None:
    """Let held sign-ups go now, whatever the surge does: each is asked for confirmation."""
    _end("release", ids, domain, form, reason, json)


@app.command()
def drop(ids: Ids = None, *, domain: Domain = None, form: Form = None, reason: Reason, json: Json = False) -> None:
    """Close held sign-ups: nobody is mailed."""
    _end("drop", ids, domain, form, reason, json)


def _end(act: str, ids: list[int] | None, domain: str | None, form: str | None, reason: str, json: bool) -> None:
    from service.usecases import holding_back

    end, done = {
        "release": (holding_back.release, "released"),
        "drop": (holding_back.drop, "dropped"),
    }[act]
    with opened_to_act() as container, container.transaction() as tx:
        chosen = holding_back.choose_held(tx, ids or [], domain=domain, form=form)
        number = end(tx, chosen, by=operator_name(), reason=reason)
    if json:
        show_json({done: number})
    else:
        say(f"{number} sign-ups {done}.")


def _row(signup: "Signup", form: str) -> dict[str, Any]:
    address = signup.address
    return {
        "id": signup.id,
        "received_at": signup.created_at,
        "state": signup.state.value,
        "form": form,
        "address": mask_address(address) if address else None,
        "domain": address.rpartition("@")[2] if address else None,
        "odd": sorted(find_oddities(address)) if address else [],
    }


def _show(rows: list[dict[str, Any]], json: bool, *, empty: str) -> None:
    if json:
        show_json(rows)
        return
    show_table(
        ("id", "received", "state", "form", "address", "domain", "worth a look"),
        ((*list(row.values())[:-1], ", ".join(row["odd"]).replace("_", " ") or None) for row in rows),
        empty=empty,
    )


def _odd(address: str) -> str | None:
    return ", ".join(sorted(find_oddities(address))).replace("_", " ") or None
