"""`milepost digest …`: the recurring publication, run by hand."""

from typing import Annotated

import typer

from service.cli import following
from service.cli.campaigns import Wait, show_reports
from service.cli.console import Json, note, say, show_json, show_table
from service.cli.opening import opened, opened_to_act, operator_name
from service.domain.words import Language

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
            empty="There is no digest yet. `milepost digest add` adds one.",
        )


@app.command()
def add(
    slug: Annotated[str, typer.Argument(help="A short name for the digest.", show_default=False)],
    list_slug: Annotated[str, typer.Option("--list", help="The list whose readers get it.")],
    name: Annotated[list[str], typer.Option(help="LANGUAGE=NAME, as readers see it. Once per language.")],
    min_items: Annotated[int, typer.Option(min=1, help="With fewer new articles a reader gets nothing.")] = 1,
    max_items: Annotated[int, typer.Option(min=1, help="More wait for the next run.")] = 5,
    max_age_days: Annotated[
        int, typer.Option(min=1, help="Older ones are left out, counted from the first pull.")
    ] = 30,
    json: Json = False,
) -> None:
    """Add a digest, or change the one with this name. Nothing is sent."""
    from service.usecases.digesting import add_digest

    names = _names(name)
    with opened() as container, container.transaction() as tx:
        add_digest(
            tx,
            slug=slug,
            list_slug=list_slug,
            names=names,
            min_items=min_items,
            max_items=max_items,
            max_age_days=max_age_days,
        )
    if json:
        show_json({"slug": slug, "names": names})
    else:
        say(f"The digest {slug} is there. `milepost digest send {slug}` runs it.")


def _names(entries: list[str]) -> dict[Language, str]:
    given = dict(entry.partition("=")[::2] for entry in entries)
    missing = [language.value for language in Language if not given.get(language.value, "").strip()]
    unknown = sorted(given.keys() - {language.value for language in Language})
    if missing or unknown:
        wanted = " ".join(f"--name '{language.value}=…'" for language in Language)
        raise typer.BadParameter(f"a digest has one name per language: {wanted}.")
    return {language: given[language.value].strip() for language in Language}


@app.command()
def send(slug: Slug, wait: Wait = True, json: Json = False) -> None:
    """Run a digest now: each reader gets the new articles of their topics, nobody one twice, nobody an empty one."""
    from service.usecases.digesting import start_run

    with opened_to_act() as container:
        with container.transaction() as tx:
            started = start_run(tx, slug, by=operator_name())
        if not json:
            note(f"Run {started.run_id} of {slug} is campaign {started.campaign_id}.")
        campaign_id = started.campaign_id
        report = following.follow(container, campaign_id) if wait else following.get_report(container, campaign_id)
        following.show_report(container, report, json=json, run_id=started.run_id, campaign_id=campaign_id)
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
