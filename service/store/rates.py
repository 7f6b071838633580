"""The sending rate that all workers on all hosts share: one row that says which moment nobody has yet."""

from collections.abc import Callable

from sqlalchemy import text

from service.domain.rates import LEAD, Permission, free, permit
from service.store.transaction import Transaction


def ask(tx: Transaction, rate: float | None, wanted: int, monotonic: Callable[[], float]) -> Permission:
    """Moments for `wanted` mails at `rate` a second; none if all near ones are taken.

    Locks the row until the end of the transaction, so that `charge` takes what was permitted. PostgreSQL's clock
    counts, for it is one.
    """
    if rate is None:
        return free(wanted, monotonic())
    ahead = tx.session.execute(
        text(
            "SELECT extract(epoch FROM greatest(next_at, clock_timestamp() + make_interval(secs => :lead)) "
            "- clock_timestamp()) FROM sending_rate FOR UPDATE"
        ),
        {"lead": LEAD},
    ).scalar_one()
    return permit(wanted, rate, float(ahead), monotonic())


def charge(tx: Transaction, permission: Permission, number: int) -> None:
    """Take the first `number` of the moments that were permitted."""
    if number and permission.spacing:
        tx.session.execute(
            text(
                "UPDATE sending_rate SET next_at = greatest(next_at, clock_timestamp() + make_interval(secs => :lead)) "
                "+ make_interval(secs => :taken)"
            ),
            {"lead": LEAD, "taken": number * permission.spacing},
        )
