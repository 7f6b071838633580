"""The tasks: each looks now, by calling one use case. Names and arguments are those of `ports.Hint`.

A task that fails is not retried by Celery: what it was to do is a row in PostgreSQL, and the sweep finds it again.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import structlog
from celery import Task, signals
from sqlalchemy.exc import OperationalError

from service.domain.words import Lane
from service.errors import ServiceError
from service.ports import Hint
from service.usecases import (
    campaigning,
    digesting,
    dispatching,
    erasing,
    holding_back,
    pulling,
    retaining,
    sealing,
    subscribing,
    watching,
)
from workers.app import app, container
from workers.sending import Senders, recover

log = structlog.get_logger(__name__)
senders = Senders()


def hinted(hint: Hint) -> Callable[[Callable[..., None]], Task]:
    """Register a task under the hint's name. An unreachable database is one line in the log, not a traceback.

    Whatever a process is first asked to do opens its row and lets its heart beat, if that failed at the start.
    """

    def register(function: Callable[..., None]) -> Task:
        @wraps(function)
        def run(task: Task, *ids: int) -> None:
            try:
                senders.get(container(), lane_of(task))
                function(task, *ids)
            except OperationalError as error:
                log.error("database_trouble", error=type(error.orig).__name__)  # noqa: TRY400

        task: Task = app.task(name=hint.value, bind=True)(run)
        return task

    return register


def lane_of(task: Task) -> Lane:
    """The queue that the hint came through; their names are those of the lanes."""
    return Lane(task.request.delivery_info["routing_key"])


@hinted(Hint.SEND_DUE)
def send_due(task: Task) -> None:
    recover(container())
    if dispatching.send_due(senders.get(container(), lane_of(task))):
        # A campaign may be done: say so now, not with the next tick of the timetable.
        container().queue.hint(Hint.SWEEP, Lane.INBOUND)


@hinted(Hint.SWEEP)
def sweep(task: Task) -> None:
    recover(container())
    with container().transaction() as tx:
        subscribing.expire_signups(tx)
    with container().transaction() as tx:
        holding_back.release_calmed(tx, container().ceilings)
    with container().transaction() as tx:
        erasing.wake(tx)
        watching.expire_campaigns(tx)
        swept = dispatching.sweep(tx)
    with container().transaction() as tx:
        watching.tell_operators(tx, container().operators)
    if swept.finished or swept.released or swept.unplanned or swept.cancelled:
        log.info("swept", finished=swept.finished, released=swept.released, unplanned=swept.unplanned)


@hinted(Hint.PLAN_CAMPAIGN)
def plan_campaign(task: Task, campaign_id: int) -> None:
    """An operator's campaign or a run's: each use case leaves the other's alone."""
    with container().transaction() as tx:
        campaigning.plan_campaign(tx, campaign_id)
    with container().transaction() as tx:
        digesting.plan_run(tx, campaign_id)


@hinted(Hint.PROCESS_SIGNUPS)
def process_signups(task: Task) -> None:
    lifetime = timedelta(hours=container().settings.confirmation_hours)
    with container().transaction() as tx:
        subscribing.process_signups(tx, container().keys.ledger, lifetime, ceilings=container().ceilings)


@hinted(Hint.PULL_CONTENT)
def pull_content(task: Task) -> None:
    pulling.pull_sources(container().transaction, container().fetcher)


@hinted(Hint.SEAL)
def seal(task: Task) -> None:
    """Nobody is there to be refused: what does not fit is an error in the log, again at every round."""
    house = container()
    try:
        if sealing.seal_new(house.transaction, house.keys.ledger, house.checkpoint_file):
            house.queue.hint(Hint.SEAL, Lane.INBOUND)
    except (ServiceError, OSError) as error:
        log.error("not_sealed", error=str(error))  # noqa: TRY400


@hinted(Hint.ERASE_DUE)
def erase_due(task: Task) -> None:
    house = container()
    try:
        erasing.erase_due(house.transaction, house.keys, house.erasure_log)
    except (ServiceError, OSError) as error:
        log.error("not_erased", error=str(error))  # noqa: TRY400


@hinted(Hint.RETAIN)
def retain(task: Task) -> None:
    retaining.retain(container().transaction, container().keys.ledger, container().retention.rules)


def look_around(sender: Any, **_: object) -> None:
    """After a crash: settle what the dead left. Then let the heart beat: who waits for work is at work too."""
    try:
        recover(container())
        for lane in sender.app.amqp.queues.consume_from:
            senders.get(container(), Lane(lane))
    except OperationalError as error:
        log.error("database_trouble", error=type(error.orig).__name__)  # noqa: TRY400


def leave(**_: object) -> None:
    senders.close()


signals.worker_ready.connect(look_around)
signals.worker_shutdown.connect(leave)
