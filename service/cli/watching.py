"""`milepost doctor` on what is watched: relays that do not answer, paused campaigns, who is mailed."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from service.cli.findings import Finding, Verdict
from service.domain.relay_watch import TroubleKind, explain, remedy

if TYPE_CHECKING:
    from service.bootstrap import Container


def _relays(container: "Container") -> Iterator[Finding]:
    """As the workers see them; the check `relay` says how it looks from here."""
    from service.store.watches import list_relays_down

    with container.transaction() as tx:
        down = list_relays_down(tx)
    for relay in down:
        what = explain(relay.kind, relay.relay, relay.phase, relay.code, relay.text)
        yield Finding(
            "relay at work",
            Verdict.WARNING if relay.kind is TroubleKind.REPLACED else Verdict.FAULT,
            f"not answering since {relay.since:%Y-%m-%d %H:%M:%SZ}: {what}; seen on {', '.join(relay.hosts)}, last at "
            f"{relay.seen_at:%H:%M:%SZ}",
            remedy(relay.kind),
        )
    if not down:
        yield Finding("relay at work", Verdict.FINE, "no worker has trouble with it")


def _paused(container: "Container") -> Iterator[Finding]:
    from service.store.watches import list_tripped

    with container.transaction() as tx:
        tripped = list_tripped(tx)
    for campaign in tripped:
        yield Finding(
            f"campaign {campaign.campaign_id}",
            Verdict.WARNING,
            f"{campaign.name} was paused by milepost ({campaign.cause}); {campaign.left} readers have not been mailed",
            f"milepost campaign show {campaign.campaign_id}",
        )


def _operators(container: "Container") -> Iterator[Finding]:
    """Whether anybody would be told."""
    from service.store.suppressions import is_suppressed

    check, addresses = "mail to operators", container.operators.addresses
    if not addresses:
        yield Finding(
            check,
            Verdict.WARNING,
            "nobody is mailed when the relay does not answer or a campaign pauses itself",
            "MILEPOST_OPERATORS_MAIL",
        )
        return
    with container.transaction() as tx:
        deaf = [
            place
            for place, address in enumerate(addresses, 1)
            if is_suppressed(tx, container.keys.address_hmac(address.lower()))
        ]
    if deaf:
        places = ", ".join(str(place) for place in deaf)
        message = f"of {len(addresses)} addresses, number {places} is suppressed and gets no mail"
        yield Finding(check, Verdict.WARNING, message, "name another mailbox in MILEPOST_OPERATORS_MAIL")
    else:
        yield Finding(check, Verdict.FINE, f"{len(addresses)} are told when something is broken")


CHECKS: tuple[Callable[["Container"], Iterator[Finding]], ...] = (_relays, _paused, _operators)
