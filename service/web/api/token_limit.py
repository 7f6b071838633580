"""How many requests a minute one token may send, counted in Redis (D-22). Without Redis nothing is limited here."""

import structlog
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)


class TokenLimit:
    """A program gone wild, or a stolen token, reads no more in a minute than this; others are not slowed down."""

    def __init__(self, redis_url: str, per_minute: int) -> None:
        self._share = RateLimitItemPerMinute(per_minute)
        storage = RedisStorage(redis_url, key_prefix="milepost:api", socket_connect_timeout=1, socket_timeout=1)
        self._counter = MovingWindowRateLimiter(storage)

    def take(self, token_name: str) -> bool:
        """Count one request; False if the token has had its share."""
        try:
            return self._counter.hit(self._share, token_name)
        except RedisError as error:
            log.warning("token_limit_off", error=type(error).__name__)
            return True
