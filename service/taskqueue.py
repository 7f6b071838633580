"""Publishing hints to Celery by name. Never imports the workers, so web and CLI do not load them."""

import structlog
from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from service.domain.words import Lane
from service.ports import Hint

log = structlog.get_logger(__name__)


EXPIRES_SECONDS = 60.0
"""A hint that nobody took is worth nothing: the sweep has said it again long before."""


class CeleryTaskQueue:
    """The real queue. A lost hint costs latency, never mail: the sweep looks at PostgreSQL every few seconds."""

    def __init__(self, redis_url: str) -> None:
        self._celery = Celery(broker=redis_url, set_as_current=False)
        self._celery.conf.update(
            task_ignore_result=True,
            task_serializer="json",
            # A reader's request must not wait for a broker that is down.
            broker_transport_options={
                "socket_connect_timeout": 1,
                "socket_timeout": 2,
                "max_retries": 0,
                "global_keyprefix": "milepost:",
            },
            broker_connection_timeout=1,
            task_publish_retry=False,
        )

    def hint(self, hint: Hint, lane: Lane, *ids: int) -> None:
        try:
            self._celery.send_task(hint.value, args=list(ids), queue=lane.value, expires=EXPIRES_SECONDS)
        except (KombuError, RedisError, OSError) as error:
            log.warning("hint_lost", hint=hint.value, lane=lane.value, error=type(error).__name__)
