"""`milepost campaign …`: an operator's message from draft to report."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import following
from service.cli.console import Json, note, say, show_json, show_table
from service.cli.opening import opened, opened_to_act, operator_name
from service.domain.campaigns import LONGEST_LIFE
from service.domain.words import DeliveryStatus, Language, Layout, Purpose

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from service.bootstrap import Container
    from service.store.reports import CampaignReport
    from service.store.transaction import Transaction

LARGEST_ID = 2**63 - 1
app = typer.Typer(help="Messages that an operator writes.", no_args_is_help=True)

CampaignId = Annotated[
    int, typer.Argument(min=1, max=LARGEST_ID, metavar="ID", help="The campaign's number.", show_default=False)
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the report until it is finished.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the report.")]


@app.command()
def create(
    list_slug: Annotated[str, typer.Option("--list", help="The list to write to.")],
    purpose: Annotated[Purpose, typer.Option(help="What the mail is for; only who agreed to that gets it.")],
    subject: Annotated[str, typer.Option(help="The subject line.")],
    body: Annotated[str | None, typer.Option(help="The text, as Markdown.")] = None,
    body_file: Annotated[Path | None, typer.Option(help="A file with the text; - reads standard input.")] = None,
    *,
    name: Annotated[str | None, typer.Option(help="For the report. Default: the subject.")] = None,
    layout: Annotated[Layout, typer.Option(help="card: in the publisher's frame. plain: as a person writes.")] = (
        Layout.CARD
    ),
    expire_after: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LONGEST_LIFE,
            metavar="HOURS",
            help="So many hours after it was ordered nobody else is mailed, as when a sale has ended.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Keep a draft: a subject and a Markdown text, to one list and purpose. Nothing is sent."""
    from service.usecases.campaigning import create_campaign

    text = _body(body, body_file)
    with opened_to_act() as container:
        container.writer.check_body(text)
        with container.transaction() as tx:
            campaign_id = create_campaign(
                tx,
                list_slug=list_slug,
                purpose=purpose,
                name=name or subject,
                subject=subject,
                body=text,
                layout=layout,
                expire_after=expire_after,
                by=operator_name(),
            )
        report = following.get_report(container, campaign_id)
        following.show_report(container, report, json=json)
    note(f"Nothing was sent yet. Try it: `milepost campaign test {campaign_id} --to you@…`, then `campaign send`.")


def _body(body: str | None, body_file: Path | None) -> str:
    if (body is None) == (body_file is None):
        raise typer.BadParameter("give either --body or --body-file.")
    if body is not None:
        return body
    if str(body_file) == "-":
        return sys.stdin.read()
    assert body_file is not None
    try:
        return body_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{body_file} cannot be read as UTF-8 text: {error}.") from None


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20, json: Json = False
) -> None:
    """Show the newest campaigns, runs of digests included, and how far they are."""
    from service.store.reports import list_campaign_reports

    with opened() as container, container.transaction() as tx:
        reports = list_campaign_reports(tx, limit)
    show_reports(reports, json=json, empty="There is no campaign yet. `milepost campaign create` makes one.")


def show_reports(reports: "list[CampaignReport]", *, json: bool, empty: str) -> None:
    if json:
        show_json([vars(report) for report in reports])
        return
    show_table(
        ("id", "kind", "name", "list", "purpose", "status", "by", "audience", *DeliveryStatus),
        (
            (r.id, r.kind, r.name, r.list_slug, r.purpose, r.status, r.changed_by, r.audience, *r.buckets.values())
            for r in reports
        ),
        empty=empty,
    )


@app.command()
def show(campaign_id: CampaignId, json: Json = False) -> None:
    """Show what a campaign says, and its report."""
    from service.store.campaigns import get_campaign

    with opened() as container:
        with container.transaction() as tx:
            campaign = get_campaign(tx, campaign_id)
        report = following.get_report(container, campaign_id)
        if not json and campaign.subject is not None:
            say(f"Subject: {campaign.subject}\n\n{campaign.body}\n")
        said = {field: getattr(campaign, field) for field in ("subject", "body", "layout", "expire_after")}
        following.show_report(container, report, json=json, **said)


@app.command()
def status(campaign_id: CampaignId, json: Json = False) -> None:
    """Show the report: every planned recipient is in exactly one bucket. Also how fast it goes, and who holds what."""
    with opened() as container:
        report = following.get_report(container, campaign_id)
        following.show_report(container, report, json=json)


@app.command("test")
def send_test_mail(
    campaign_id: CampaignId,
    to: Annotated[str, typer.Option(help="Your own address.")],
    language: Annotated[Language, typer.Option(help="Of the texts around yours.")] = Language.EN,
    json: Json = False,
) -> None:
    """Send one test mail to an address of yours, not to one that is not mailed. Its links act for nobody.

    Leaves an entry in the audit log; MILEPOST_TEST_MAILS_PER_DAY limits how many there are.
    """
    from service.usecases.campaigning import send_test

    with opened_to_act() as container:
        delivery_id = send_test(
            container.transaction,
            container.keys,
            campaign_id,
            address=to,
            language=language,
            by=operator_name(),
            per_day=container.settings.test_mails_per_day,
        )
    if json:
        show_json({"campaign_id": campaign_id, "delivery_id": delivery_id})
    else:
        say(f"A test mail of campaign {campaign_id} is queued as delivery {delivery_id}.")


@app.command()
def send(campaign_id: CampaignId, wait: Wait = True, json: Json = False) -> None:
    """Order a draft: its text is frozen, its audience planned, and sending begins."""
    from service.usecases.campaigning import order_campaign

    with opened_to_act() as container:
        with container.transaction() as tx:
            order_campaign(tx, campaign_id, by=operator_name())
        report = following.follow(container, campaign_id) if wait else following.get_report(container, campaign_id)
        following.show_report(container, report, json=json)
    if wait:
        raise typer.Exit(following.exit_code(report))


@app.command()
def pause(campaign_id: CampaignId, reason: Reason = None, json: Json = False) -> None:
    """Stop sending; what is on the wire is finished. `resume` goes on."""
    from service.usecases.campaigning import pause_campaign

    _act(campaign_id, json, lambda tx: pause_campaign(tx, campaign_id, by=operator_name(), reason=reason))


@app.command()
def resume(campaign_id: CampaignId, json: Json = False) -> None:
    """Go on with a paused campaign."""
    from service.usecases.campaigning import resume_campaign

    _act(campaign_id, json, lambda tx: resume_campaign(tx, campaign_id, by=operator_name()), opened_to_act)


@app.command()
def cancel(campaign_id: CampaignId, reason: Reason = None, json: Json = False) -> None:
    """End a campaign for good; who has it keeps it, nobody else gets it."""
    from service.usecases.campaigning import cancel_campaign

    _act(campaign_id, json, lambda tx: cancel_campaign(tx, campaign_id, by=operator_name(), reason=reason))


@app.command()
def resolve(
    campaign_id: CampaignId,
    resend: Annotated[bool, typer.Option("--resend", help="Send them again; a second copy is possible.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Leave them; some may never have arrived.")] = False,
    json: Json = False,
) -> None:
    """Decide what becomes of uncertain deliveries: were on the wire when a worker died, without an answer."""
    from service.domain.campaigns import Resolution
    from service.usecases.campaigning import resolve_uncertain

    if resend == close:
        raise typer.BadParameter("give either --resend or --close.")
    decision = Resolution.RESEND if resend else Resolution.CLOSE
    with opened_to_act() as container:
        with container.transaction() as tx:
            resolved = resolve_uncertain(tx, campaign_id, decision, by=operator_name())
        report = following.get_report(container, campaign_id)
        if not json:
            say(f"{resolved} uncertain: {'sent again' if resend else 'closed'}.")
        following.show_report(container, report, json=json, resolved=resolved)


def _act(
    campaign_id: int,
    json: bool,
    act: "Callable[[Transaction], None]",
    open_: "Callable[[], AbstractContextManager[Container]]" = opened,
) -> None:
    """Whatever only stops mail is never refused."""
    with open_() as container:
        with container.transaction() as tx:
            act(tx)
        report = following.get_report(container, campaign_id)
        following.show_report(container, report, json=json)
