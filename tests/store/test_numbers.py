"""After a restore no number of before is given again."""

from sqlalchemy import text

from service.store.numbers import IN_LINKS, LEAP, leap
from service.store.transaction import Transaction
from tests.builders import a_reader


def test_every_number_that_stands_in_a_link_leaps(tx: Transaction) -> None:
    before = a_reader(tx, "anna@fjell.example")
    leap(tx)
    assert a_reader(tx, "ben@fjell.example") > before + LEAP
    leap(tx)
    for table in IN_LINKS:
        assert tx.session.scalars(text(f"SELECT last_value FROM {table}_id_seq")).one() > 2 * LEAP
    assert a_reader(tx, "kari@fjell.example") < 2**48 // 1000, "a token has 48 bits for it"
