"""The Celery app: `celery -A workers.app worker -P solo -Q <lane>` and `celery -A workers.app beat`.

Importing it starts nothing: settings are read and the container is built when Celery first asks for its configuration.
"""

import gc
import logging
import sys
import time
from functools import cache
from typing import Any

import structlog
from celery import Celery, signals

from service import egress
from service.bootstrap import Container, build_container, check_may_serve
from service.errors import ConfigurationError, DatabaseAwayError
from workers.timetable import timetable

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 2
"""Between two looks at a PostgreSQL that does not answer while a worker starts."""


GARBAGE = (20_000, 20, 50)
"""New objects until the youngest are looked at, and how often the older ones are (`gc.set_threshold`)."""


@cache
def container() -> Container:
    """This process's wiring. A configuration error ends the process with its message and nothing else."""
    try:
        return build_container(process="worker")
    except ConfigurationError as error:
        sys.exit(str(error))


def configuration() -> dict[str, Any]:
    """Measured for Celery over Redis: nothing is lost by it that PostgreSQL does not bring back (ADR 0003)."""
    settings = container().settings
    return {
        "broker_url": settings.redis_url,
        "beat_schedule": timetable(settings.content_pull_minutes),
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_ignore_result": True,
        "result_backend": None,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": "inbound",
        "timezone": "UTC",
        # A Redis that is down at the start, or goes down later, is waited for, and the log says so.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_soft_shutdown_timeout": 10,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "broker_transport_options": {
            "visibility_timeout": 900,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "health_check_interval": 25,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "global_keyprefix": "milepost:",
        },
    }


app = Celery("milepost", include=["workers.tasks"])
app.add_defaults(configuration)


def keep_our_logging(**_: object) -> None:
    """Our own format is set up by the container; Celery adds nothing to it but its warnings."""
    container()
    for chatty in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def may_serve(**_: object) -> None:
    """A restored backup that has not forgotten again ends the process; a PostgreSQL that is away is waited for."""
    while True:
        try:
            return check_may_serve(container())
        except DatabaseAwayError as error:
            log.error("database_trouble", error=str(error), again_in_seconds=PAUSE_SECONDS)  # noqa: TRY400
            time.sleep(PAUSE_SECONDS)
        except ConfigurationError as error:
            sys.exit(str(error))


def start_no_programs(**_: object) -> None:
    """Celery itself asks `uname` while it starts, and nothing later."""
    egress.start_no_programs()


def look_for_garbage_less_often(**_: object) -> None:
    """What a worker has loaded by now stays, and a mail makes no cycles: looking for some took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


def bind_context(task_id: str, task: Any, **_: object) -> None:
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)


def clear_context(**_: object) -> None:
    structlog.contextvars.clear_contextvars()


signals.setup_logging.connect(keep_our_logging)
signals.worker_init.connect(may_serve)
signals.beat_init.connect(may_serve)
signals.worker_ready.connect(start_no_programs)
signals.beat_init.connect(start_no_programs)
signals.worker_ready.connect(look_for_garbage_less_often)
signals.task_prerun.connect(bind_context)
signals.task_postrun.connect(clear_context)
