"""A campaign on its way, seen from a terminal: the bar, the report, and Ctrl-C that only stops the watching."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from service.cli.console import ExitCode, note, say, show_json
from service.domain.words import CampaignStatus, DeliveryStatus

if TYPE_CHECKING:
    from service.bootstrap import Container
    from service.store.reports import CampaignReport

POLL_SECONDS = 0.3
"""Often enough for a bar that moves; a report is one statement."""
NOBODY_SENDS_AFTER = timedelta(seconds=30)
STOPPED = frozenset({CampaignStatus.PAUSED, CampaignStatus.CANCELLED})
STILL_MOVING = frozenset({CampaignStatus.PLANNING, CampaignStatus.SENDING})
OPEN = (DeliveryStatus.QUEUED, DeliveryStatus.SENDING)


def get_report(container: "Container", campaign_id: int) -> "CampaignReport":
    """The report of a campaign. Raises ServiceError (not found)."""
    from service.errors import Kind, ServiceError
    from service.store.reports import get_campaign_report

    with container.transaction() as tx:
        report = get_campaign_report(tx, campaign_id)
    if report is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "campaign_unknown",
            f"There is no campaign {campaign_id}; nothing was done. `milepost campaign list` shows them.",
        )
    return report


def follow(container: "Container", campaign_id: int) -> "CampaignReport":
    """Watch until the campaign is sent, paused or cancelled, or until Ctrl-C; the report as it then stands."""
    report = get_report(container, campaign_id)
    warned = False
    try:
        with _bar() as show:
            while report.status in STILL_MOVING:
                show(report)
                if not warned and _nobody_sends(container, report):
                    warned = True
                    note(
                        "Nothing has moved for a while: is `milepost worker --lane bulk` running? "
                        "`milepost doctor` looks. Still watching; Ctrl-C stops only that."
                    )
                time.sleep(POLL_SECONDS)
                report = get_report(container, campaign_id)
            show(report)
    except KeyboardInterrupt:
        note(
            f"Stopped watching; sending goes on. `milepost campaign status {campaign_id}` shows it, "
            f"`milepost campaign pause {campaign_id}` stops it."
        )
        report = get_report(container, campaign_id)
    return report


def _nobody_sends(container: "Container", report: "CampaignReport") -> bool:
    since = report.oldest_due_at if report.status is CampaignStatus.SENDING else report.ordered_at or report.created_at
    return since is not None and container.clock.now() - since > NOBODY_SENDS_AFTER


class _Bar:
    """Deliveries that are over, of all planned."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self.task = self.progress.add_task("planning", total=None)

    def __call__(self, report: "CampaignReport") -> None:
        over = report.audience - sum(report.buckets[status] for status in OPEN)
        self.progress.update(self.task, description=report.status.value, completed=over, total=report.audience or None)


@contextmanager
def _bar() -> Iterator[_Bar]:
    bar = _Bar()
    with bar.progress:
        yield bar


def exit_code(report: "CampaignReport") -> int:
    """0 when sent; 4 when it is not, whatever the cause: paused, cancelled, or still on its way."""
    return ExitCode.OK if report.status is CampaignStatus.SENT else ExitCode.UNFINISHED


def show_report(container: "Container", report: "CampaignReport", *, json: bool, **more: object) -> None:
    """One campaign's numbers and how it gets on; `more` goes into the JSON document beside them."""
    from service.store.progress import get_progress

    with container.transaction() as tx:
        progress = get_progress(tx, report)
    if json:
        show_json({**more, **vars(report), **asdict(progress)})
        return
    say(f"{report.kind} {report.id} ({report.name}): {report.status}" + (f", {report.reason}" if report.reason else ""))
    if report.status in STOPPED:
        say(f"  {report.status} by {report.changed_by}")
    for status, number in report.buckets.items():
        if number:
            say(f"  {number:>8} {status}{_why(report) if status is DeliveryStatus.SKIPPED else ''}")
    say(f"  {report.audience:>8} {'in all' if report.planned_at else 'so far; its audience is still being planned'}")
    if progress.per_second:
        left = f"; about {timedelta(seconds=progress.seconds_left)} left" if progress.seconds_left is not None else ""
        say(f"  {progress.per_second:>8} a second{left}")
    for held in progress.held:
        silent = "" if held.beats else ", silent"
        say(f"  {held.number:>8} held by worker {held.worker_id} on {held.host}{silent}")
    for said in progress.said:
        code = " ".join(str(part) for part in (said.code, said.enhanced) if part)
        say(f"  {said.number:>8} {said.fate}: {code or 'no answer'} {said.text}".rstrip())
    advise(report)


def _why(report: "CampaignReport") -> str:
    return " (" + ", ".join(f"{number} {reason}" for reason, number in report.skipped.items()) + ")"


def advise(report: "CampaignReport") -> None:
    """What a person has to decide or mend, on stderr."""
    if report.buckets[DeliveryStatus.UNCERTAIN]:
        note(
            f"{report.buckets[DeliveryStatus.UNCERTAIN]} uncertain: nobody knows whether these arrived. Decide: "
            f"`milepost campaign resolve {report.id} --resend` (a second copy is possible) or `--close`."
        )
    if report.lost_leases:
        note(
            f"{report.lost_leases} claimed by a worker that fell silent. It settles them when it starts again; if its "
            "host is gone for good: `milepost worker lost ID` (`milepost doctor` shows the ID)."
        )
