"""How many sign-ups one network may send, counted in Redis (E-05). Without Redis nothing is limited here:
the limit of mails per address is a fact in PostgreSQL, and a promise to a person never rests on Redis."""

import ipaddress

import structlog
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from service.domain.tokens import Keys

log = structlog.get_logger(__name__)

DAY_FACTOR = 4
NEIGHBOURS_FACTOR = 10
"""An attacker who has one address often has the /24 (IPv4) or /48 (IPv6) around it."""

OWN, NEIGHBOURS = {4: 32, 6: 64}, {4: 24, 6: 48}
"""Prefix lengths by IP version: what one subscriber of an access provider has, and what a small site has."""


class NetworkLimit:
    """Counts by a fingerprint of the network, so that Redis holds no addresses."""

    def __init__(self, redis_url: str, per_hour: int, keys: Keys) -> None:
        self._keys = keys
        self._own = (RateLimitItemPerHour(per_hour), RateLimitItemPerDay(per_hour * DAY_FACTOR))
        self._neighbours = (RateLimitItemPerHour(per_hour * NEIGHBOURS_FACTOR),)
        storage = RedisStorage(
            redis_url,
            key_prefix="milepost:limits",
            socket_connect_timeout=1,
            socket_timeout=1,
        )
        # Any hour, not the one since the first: fixed windows let twice as many through around their borders.
        self._counter = MovingWindowRateLimiter(storage)

    def take(self, ip: str | None) -> bool:
        """Count one sign-up from `ip`; False if its network has had its share. True when nobody can say."""
        if ip is None:
            return True
        counted = self._counted(ip)
        try:
            # Looked at before any is counted: who is over one limit uses up no other.
            if not all(self._counter.test(item, name) for item, name in counted):
                return False
            return all(self._counter.hit(item, name) for item, name in counted)
        except RedisError as error:
            log.warning("network_limit_off", error=type(error).__name__)
            return True

    def _counted(self, ip: str) -> list[tuple[RateLimitItem, str]]:
        address = ipaddress.ip_address(ip)
        pairs = ((self._own, OWN), (self._neighbours, NEIGHBOURS))
        return [
            (item, self._fingerprint(f"{address}/{prefixes[address.version]}"))
            for items, prefixes in pairs
            for item in items
        ]

    def _fingerprint(self, network: str) -> str:
        return self._keys.address_hmac(f"network {ipaddress.ip_network(network, strict=False)}")[:12].hex()
