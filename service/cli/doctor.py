"""`milepost doctor`: every part an installation needs, one by one, with the command that mends it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from service.cli import probes, watching
from service.cli.console import ExitCode, Json, say, show_json
from service.cli.findings import Finding, Verdict
from service.cli.opening import opened, read_settings
from service.cli.refusals import first_line
from service.domain.deliveries import PRESUMED_DEAD
from service.domain.words import Lane
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from service.bootstrap import Container
    from service.settings import Settings

app = typer.Typer()


SEALING_OVERDUE = timedelta(minutes=3)
"""A worker seals every minute (docs/consent.md); a busy one may be late by some seconds."""
MARKS = {Verdict.FINE: "✓", Verdict.WARNING: "!", Verdict.FAULT: "✗"}


@app.command()
def doctor(json: Json = False) -> None:
    """Check settings, directory, database, ledger, Redis, relay, words, workers, mail and sources. Changes nothing."""
    findings = []
    for finding in examine():
        findings.append(finding)
        if not json:
            remedy = f"\n    → {finding.remedy}" if finding.remedy else ""
            say(f"{MARKS[finding.verdict]} {finding.check}: {finding.message}{remedy}")
    healthy = all(finding.verdict is not Verdict.FAULT for finding in findings)
    if json:
        show_json({"healthy": healthy, "findings": findings})
    if not healthy:
        raise typer.Exit(ExitCode.UNFINISHED)


def examine() -> Iterator[Finding]:
    """One finding after the other; what cannot be examined because of an earlier fault is left out."""
    try:
        settings = read_settings()
    except ConfigurationError as error:
        yield Finding("settings", Verdict.FAULT, str(error), "milepost settings")
        return
    yield Finding("settings", Verdict.FINE, f"{settings.environment.value}, {settings.public_url}")
    yield _state_dir(settings)
    yield _dkim(settings)
    with opened("doctor") as container:
        database = list(_database(container))
        yield from database
        yield _server("redis", probes.redis_trouble(settings.redis_url), "answers")
        for number, (place, trouble) in enumerate(probes.relay_troubles(settings).items(), 1):
            yield _server("relay" if number == 1 else "relay2", trouble, f"{place} would take mail")
        if all(finding.verdict is Verdict.FINE for finding in database):
            for check in (_fit, _ledger, _privacy_requests, _wordings, _workers, *watching.CHECKS, _held, _sources):
                yield from check(container)


def _state_dir(settings: "Settings") -> Finding:
    try:
        probes.need_writable(settings.state_dir)
    except ConfigurationError as error:
        return Finding("state_dir", Verdict.FAULT, str(error), "MILEPOST_STATE_DIR")
    return Finding("state_dir", Verdict.FINE, f"{settings.state_dir} is writable")


def _dkim(settings: "Settings") -> Finding:
    from service.bootstrap import dkim_keys

    keys = dkim_keys(settings)
    try:
        signer = keys.signer()
    except ConfigurationError as error:
        return Finding("dkim", Verdict.FAULT, str(error), "milepost dkim show")
    if signer is None:
        return Finding(
            "dkim",
            Verdict.WARNING,
            f"mails leave without a signature of {keys.domain}; fine only if the relay signs them",
            "milepost dkim new",
        )
    return Finding("dkim", Verdict.FINE, f"{signer.selector} signs for {signer.domain}")


def _server(check: str, trouble: str | None, fine: str) -> Finding:
    if trouble is None:
        return Finding(check, Verdict.FINE, fine)
    message, _, remedy = trouble.partition(". ")
    return Finding(check, Verdict.FAULT, message, remedy or None)


def _database(container: "Container") -> Iterator[Finding]:
    from sqlalchemy.exc import DBAPIError

    from service.store.health import get_database_facts

    place = probes.database_place(container.settings.database_url)
    try:
        facts = get_database_facts(container.engine)
    except DBAPIError as error:
        yield Finding("database", Verdict.FAULT, f"{place}: {first_line(error.orig)}", "MILEPOST_DATABASE_URL")
        return
    except ConfigurationError as error:
        yield Finding("database", Verdict.FAULT, str(error), "MILEPOST_DATABASE_URL")
        return
    yield Finding("database", Verdict.FINE, f"PostgreSQL {facts.version} at {place}")
    if facts.superuser or facts.owned:
        what = "is a superuser" if facts.superuser else f"owns {len(facts.owned)} tables"
        yield Finding(
            "database role",
            Verdict.FAULT,
            f"{facts.role} {what}: who serves could rewrite the ledger",
            "name the role milepost_app in MILEPOST_DATABASE_URL; `milepost migrate --admin-url-file …` creates it",
        )
    else:
        yield Finding("database role", Verdict.FINE, f"{facts.role} serves and can alter no table")
    if facts.pending:
        yield Finding("migrations", Verdict.FAULT, f"{', '.join(facts.pending)} not applied", "milepost migrate")
    else:
        yield Finding("migrations", Verdict.FINE, "up to date")


def _fit(container: "Container") -> Iterator[Finding]:
    from service.usecases.starting import list_obstacles

    with container.transaction() as tx:
        found = list_obstacles(
            tx, container.keys, erasure_file=container.erasure_log, checkpoint_file=container.checkpoint_file
        )
    for obstacle in found:
        yield Finding("may serve", Verdict.FAULT, obstacle, "docs/privacy.md")
    if not found:
        yield Finding("may serve", Verdict.FINE, "database, erasure log, checkpoints and keys fit")


def _privacy_requests(container: "Container") -> Iterator[Finding]:
    from service.store.privacy_requests import list_open

    with container.transaction() as tx:
        waiting = list_open(tx)
        overdue = [request for request in waiting if request.due_at <= tx.now]
    if overdue:
        message = f"{len(overdue)} of {len(waiting)} are overdue (one month, GDPR 12(3))"
        yield Finding("privacy requests", Verdict.FAULT, message, "milepost privacy requests")
    else:
        yield Finding("privacy requests", Verdict.FINE, f"{len(waiting)} open, none overdue")


def _ledger(container: "Container") -> Iterator[Finding]:
    from service.store.health import list_ledger_faults
    from service.store.verification import get_unsealed
    from service.usecases.sealing import find_stranger

    with container.transaction() as tx:
        faults = list_ledger_faults(tx)
        unsealed = get_unsealed(tx)
        stranger = find_stranger(tx, container.keys.ledger)
    if faults:
        yield Finding("ledger", Verdict.FAULT, f"the serving role {', '.join(faults)}", "milepost migrate")
    else:
        yield Finding("ledger", Verdict.FINE, "can be read and appended to, not changed")
    if stranger:
        yield Finding("sealing", Verdict.FAULT, stranger, "docs/consent.md")
    elif unsealed.oldest_at and tx.now - unsealed.oldest_at > SEALING_OVERDUE:
        yield Finding(
            "sealing",
            Verdict.FAULT,
            f"{unsealed.events} events are under no checkpoint, the oldest since {unsealed.oldest_at:%Y-%m-%d %H:%MZ}",
            "start a worker of the lane inbound and beat; `not_sealed` in its log says what is in the way; if nothing "
            "does, somebody holds the lock: SELECT * FROM pg_locks WHERE locktype = 'advisory'",
        )


def _wordings(container: "Container") -> Iterator[Finding]:
    from service.store.health import list_missing_wordings

    with container.transaction() as tx:
        missing = list_missing_wordings(tx)
    if missing:
        yield Finding("wordings", Verdict.FAULT, f"not published: {', '.join(missing)}", "milepost migrate")
    else:
        yield Finding("wordings", Verdict.FINE, "every statement and notice is published in every language")


def _workers(container: "Container") -> Iterator[Finding]:
    from service.store.health import list_open_worker_processes

    with container.transaction() as tx:
        processes = list_open_worker_processes(tx)
    alive = [p for p in processes if tx.now - p.beat_at < PRESUMED_DEAD]
    for lane in Lane:
        count = sum(process.lane is lane for process in alive)
        if count:
            yield Finding(f"worker {lane}", Verdict.FINE, f"{count} at work")
        else:
            yield Finding(f"worker {lane}", Verdict.FAULT, "none at work", f"milepost worker --lane {lane}")
    for process in processes:
        if process not in alive:
            yield Finding(
                f"worker {process.lane}",
                Verdict.WARNING,
                f"{process.id} on {process.host} has been silent since {process.beat_at:%Y-%m-%d %H:%M:%SZ}; a worker "
                "that starts there settles what it was doing",
                f"if that host is gone for good: milepost worker lost {process.id}",
            )


def _held(container: "Container") -> Iterator[Finding]:
    from service.store.signups import count_held

    with container.transaction() as tx:
        number, oldest_at = count_held(tx)
    if oldest_at is None:
        yield Finding("held sign-ups", Verdict.FINE, "none")
    else:
        yield Finding(
            "held sign-ups",
            Verdict.WARNING,
            f"{number}, since {oldest_at:%Y-%m-%d %H:%M:%SZ}: far more than usual came for a domain or by a form",
            "milepost signups held",
        )


def _sources(container: "Container") -> Iterator[Finding]:
    from service.store.health import list_troubled_sources

    with container.transaction() as tx:
        troubled = list_troubled_sources(tx)
    for source in troubled:
        yield Finding(
            f"source {source.slug}",
            Verdict.WARNING,
            source.error or "",
            f"milepost content pull --source {source.slug}",
        )
    if not troubled:
        yield Finding("sources", Verdict.FINE, "no content source is in trouble")
