"""`milepost content …`: where training articles come from."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.console import ExitCode, Json, note, say, show_json, show_table
from service.cli.opening import opened
from service.domain.words import Language

if TYPE_CHECKING:
    from service.usecases.pulling import PullResult

app = typer.Typer(help="Feeds that articles are read from.", no_args_is_help=True)


@app.command()
def pull(
    source: Annotated[str | None, typer.Option(help="Only this source. Default: all.")] = None, json: Json = False
) -> None:
    """Read the sources now. A source in trouble changes nothing and does not keep the others from being read."""
    from service.usecases.pulling import pull_sources

    with opened() as container:
        results = pull_sources(container.transaction, container.fetcher, slug=source)
    if json:
        show_json(results)
    else:
        _show_results(results)
    if any(result.error for result in results):
        raise typer.Exit(ExitCode.UNFINISHED)


def _show_results(results: "list[PullResult]") -> None:
    show_table(
        ("source", "new", "updated", "unchanged", "skipped"),
        ((r.source, r.new, r.updated, r.unchanged, len(r.skipped)) for r in results if not r.error),
        empty="Nothing was read.",
    )
    for result in results:
        if result.error:
            note(f"{result.source}: {result.error}")
        for item in result.skipped:
            note(f"{result.source}: skipped {item.item}: {item.reason}")
        if result.unmapped:
            note(f"{result.source}: no topic for {', '.join(result.unmapped)}; see `milepost content add --topic`.")


@app.command()
def sources(json: Json = False) -> None:
    """Show every source, when it was last read, and what went wrong."""
    from service.store.sources import list_sources

    fields = ("slug", "location", "language", "pulled_at", "error", "failed_at")
    with opened() as container, container.transaction() as tx:
        rows = [{field: getattr(source, field) for field in fields} for source in list_sources(tx)]
    if json:
        show_json(rows)
    else:
        show_table(
            ("slug", "location", "language", "last read", "error"),
            (tuple(row.values())[:5] for row in rows),
            empty="There is no source yet. `milepost content add` adds one.",
        )


@app.command()
def add(
    slug: Annotated[str, typer.Argument(help="A short name for the source.", show_default=False)],
    location: Annotated[
        str, typer.Argument(help="URL on one of MILEPOST_CONTENT_HOSTS, or a file.", show_default=False)
    ],
    list_slug: Annotated[str, typer.Option("--list", help="The list whose readers get its articles.")],
    language: Annotated[Language | None, typer.Option(help="Overrides what the feed says of itself.")] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="CATEGORY=TOPIC, where a category is not named like its topic. Repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Add an RSS or Atom feed. It is read with the next `milepost content pull` or by the timetable."""
    from service.usecases.pulling import add_source

    topic_map = _topic_map(topic or [])
    with opened() as container, container.transaction() as tx:
        add_source(tx, slug=slug, list_slug=list_slug, location=location, language=language, topic_map=topic_map)
    if json:
        show_json({"slug": slug, "location": location})
    else:
        say(f"The source {slug} was added.")


def _topic_map(entries: list[str]) -> dict[str, str]:
    mapped = {}
    for entry in entries:
        category, separator, topic = entry.rpartition("=")
        if not separator or not category or not topic:
            raise typer.BadParameter(f"--topic {entry}: write CATEGORY=TOPIC, as in --topic 'Half marathon=race-day'.")
        mapped[category.strip().lower()] = topic.strip()
    return mapped
