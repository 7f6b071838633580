"""`milepost digest …`: the recurring publication, run by hand."""

from typing import Annotated

import typer

from service.cli import following
from service.cli.campaigns import Wait, show_reports
from service.cli.console import Json, note, show_json, show_table
from service.cli.opening import opened, operator_name

app = typer.Typer(help="Digests: the newest articles of each reader's topics.", no_args_is_help=True)

Slug = Annotated[str, typer.Argument(help="The digest's short name; see `milepost digest list`.", show_default=False)]


@app.command("list")
def list_(json: Json = False) -> None:
    """Show every digest, its list, and how many articles an issue holds."""
    from service.store.digests import list_digests

    with opened() as container, container.transaction() as tx:
        digests = list_digests(tx)
    fields = ("slug", "names", "min_items", "max_items", "max_age_days")
    rows = [{field: getattr(digest, field) for field in fields} for digest in digests]
    if json:
        show_json(rows)
    else:
        show_table(
            ("slug", "name", "at least", "at most", "days"),
            ((r["slug"], ", ".join(r["names"].values()), *(r[f] for f in fields[2:])) for r in rows),
            empty="There is no digest yet.",
        )


@app.command()
def send(slug: Slug, wait: Wait = True, json: Json = False) -> None:
    """Run a digest now: each reader gets the new articles of their topics, nobody one twice, nobody an empty one."""
    from service.usecases.digesting import start_run

    with opened() as container:
        with container.transaction() as tx:
            started = start_run(tx, slug, by=operator_name())
        if not json:
            note(f"Run {started.run_id} of {slug} is campaign {started.campaign_id}.")
        campaign_id = started.campaign_id
        report = following.follow(container, campaign_id) if wait else following.get_report(container, campaign_id)
    following.show_report(report, json=json, run_id=started.run_id, campaign_id=campaign_id)
    if wait:
        raise typer.Exit(following.exit_code(report))


@app.command()
def runs(
    slug: Slug,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    json: Json = False,
) -> None:
    """Show the runs of a digest and what became of them."""
    from service.store.digests import get_digest
    from service.store.reports import list_run_reports

    with opened() as container, container.transaction() as tx:
        get_digest(tx, slug)
        reports = list_run_reports(tx, slug, limit)
    show_reports(reports, json=json, empty=f"{slug} has not been run yet. `milepost digest send {slug}` runs it.")
