"""`milepost privacy report`, `retention`, `records`, `affected`: what is held, how long, why, and whom a breach met."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.console import Json, note, say, show_json, show_table
from service.cli.opening import opened, opened_to_act, operator_name

if TYPE_CHECKING:
    from service.usecases.reporting_privacy import PrivacyReport

app = typer.Typer()
TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@app.command()
def retention(
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--enforce", help="Show what each rule would act on, or act now.")
    ] = True,
    json: Json = False,
) -> None:
    """Show every rule of retention and how much it would act on now. A worker enforces them every hour or day."""
    from service.usecases.retaining import retain
    from service.usecases.steps.retention_state import get_retention

    with opened() if dry_run else opened_to_act() as container:
        rules = container.retention.rules
        if not dry_run:
            done = retain(container.transaction, container.keys.ledger, rules, all_rules=True)
            if json:
                show_json({"acted_on": done})
            else:
                show_table(("rule", "acted on"), done.items(), empty="")
            return
        with container.transaction() as tx:
            states = get_retention(tx, rules)
        kept = container.retention.kept
    if json:
        show_json({"rules": states, "kept": kept})
        return
    show_table(
        ("rule", "kept", "then", "due now", "last round", "acted on"),
        ((s.id, s.keep, s.then, s.due, s.last_run_at, s.last_affected) for s in states),
        empty="",
    )
    for each in kept:
        say(f"{each.id}: {each.what}; until {each.until}. {each.reason}")


@app.command()
def records(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as a page to sign (the default).")] = False,
    json: Json = False,
) -> None:
    """Write the record of processing activities, with the register of processors and notes on risks (GDPR 30, 35)."""
    from service.usecases.recording_activities import make_records, write_markdown

    if markdown and json:
        raise typer.BadParameter("give either --markdown or --json.")
    with opened() as container:
        made = make_records(
            container.publisher,
            container.circumstances,
            container.processors,
            container.activities,
            container.retention,
        )
    if json:
        show_json(made)
    else:
        say(write_markdown(made))


@app.command()
def affected(
    since: Annotated[datetime, typer.Option(formats=TIMES, help="When it began, UTC.", show_default=False)],
    until: Annotated[datetime, typer.Option(formats=TIMES, help="When it ended, UTC.", show_default=False)],
    reason: Annotated[str, typer.Option(help="What happened; stands in the audit log.", show_default=False)],
    known_at: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="When it became known, UTC. Default: now.")
    ] = None,
    touched_by: Annotated[
        str | None,
        typer.Option(help="Only whom acts of this operator or token concern; `anybody`: of all of them."),
    ] = None,
    addresses: Annotated[bool, typer.Option("--addresses", help="With addresses, to tell them (GDPR 34).")] = False,
    operator: Annotated[str | None, typer.Option(help="Who asks. Default: your name on this machine.")] = None,
    json: Json = False,
) -> None:
    """List the subjects whom a breach concerns, by number, and the hour by which the authority has to know.

    Without --touched-by: everybody of whom anything was held in that time. Leaves an entry in the audit log.
    """
    from service.usecases.breach import list_affected

    with opened() as container, container.transaction() as tx:
        found = list_affected(
            tx,
            since=since.replace(tzinfo=UTC),
            until=until.replace(tzinfo=UTC),
            known_at=known_at.replace(tzinfo=UTC) if known_at else tx.now,
            actor=operator or operator_name(),
            reason=reason,
            touched=touched_by is not None,
            touched_by=None if touched_by == "anybody" else touched_by,
            with_addresses=addresses,
        )
    if json:
        show_json(
            {
                "authority_due_at": found.authority_due_at,
                "count": len(found.subjects),
                "subjects": [
                    {"id": number, "address": found.addresses.get(number)} if addresses else number
                    for number in found.subjects
                ],
            }
        )
        return
    for number in found.subjects:
        say(f"{number} {found.addresses.get(number, '(erased)')}" if addresses else str(number))
    note(
        f"{len(found.subjects)} subjects. The authority has to know by {found.authority_due_at:%Y-%m-%d %H:%M} UTC "
        "(GDPR 33(1)); they themselves without delay if the risk is high (GDPR 34)."
    )


@app.command()
def report(json: Json = False) -> None:
    """Say on one page what is held, what is due, what people asked for, what was erased, sealed and taken out."""
    from service.usecases.reporting_privacy import get_privacy_report

    with opened() as container, container.transaction() as tx:
        made = get_privacy_report(
            tx, container.keys.ledger, container.retention.rules, container.processors, container.erasure_log
        )
    if json:
        show_json(made)
    else:
        _show(made)


def _show(made: "PrivacyReport") -> None:
    say(f"Privacy, {made.made_at:%Y-%m-%d %H:%M} UTC\n")
    show_table(("held", "number"), ((what.replace("_", " "), n) for what, n in made.held.items()), empty="")
    say()
    show_table(("suppressed because", "number"), made.suppressions.items(), empty="No address is suppressed.")
    say()
    show_table(
        ("rule of retention", "kept", "due now", "last round"),
        ((s.id, s.keep, s.due, s.last_run_at) for s in made.retention),
        empty="",
    )
    overdue = sum(request.overdue for request in made.requests)
    checkpoint = (
        f"checkpoint {made.ledger.checkpoint} of {made.ledger.sealed_at:%Y-%m-%d %H:%M} UTC covers "
        f"{made.ledger.events} events, {made.ledger.events_since} wait for the next"
        if made.ledger.checkpoint and made.ledger.sealed_at
        else "no checkpoint yet"
    )
    acts = ", ".join(f"{act} {number}" for act, number in made.acts_of_30_days.items()) or "nothing"
    say(
        f"\nSilent readers: {made.silent_24_months} for 24 months, {made.silent_36_months} for 36 months\n"
        f"Requests: {len(made.requests)} open, {overdue} overdue\n"
        f"Erasures: {made.erasures}; log and database {made.erasure_log.replace('_', ' ')}\n"
        f"Ledger: {checkpoint} (`milepost consent verify` checks it)\n"
        f"Processors: {', '.join(made.processors) or 'none'}\n"
        f"What operators did in 30 days: {acts}"
    )
