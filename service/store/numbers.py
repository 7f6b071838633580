"""Numbers that stand in links: none is given to somebody else after a backup was put back.

A restored database would count on from where the backup was taken, and a link in a mail of the days after it would act
for whoever gets the number next: confirm a stranger's sign-up, unsubscribe a stranger.
"""

from sqlalchemy import text

from service.store.transaction import Transaction

IN_LINKS = ("address_changes", "consent_events", "deliveries", "signups", "subscribers")
LEAP = 2**30
"""More than anybody can have used since a backup; 48 bits of a token leave room for a hundred thousand restores."""


def leap(tx: Transaction) -> None:
    """Let all of them go on far above what the backup knows. At once, and also if the transaction is rolled back."""
    for table in IN_LINKS:
        tx.session.execute(
            text(f"SELECT setval('{table}_id_seq', last_value + :leap) FROM {table}_id_seq"),  # noqa: S608 - our names
            {"leap": LEAP},
        )
