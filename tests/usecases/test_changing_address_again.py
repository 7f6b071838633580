"""Changes of address that cross a mail on its way, and those that follow one another (D-14, E-05)."""

from datetime import timedelta

import pytest

from service.domain.private_access import seal_link
from service.domain.tokens import Token, TokenKind
from service.domain.words import Lane
from service.usecases import private
from service.usecases.changing_address import Changed
from service.usecases.dispatching import send_due
from tests.usecases.builders import KEYS, a_reader
from tests.usecases.sending import a_sender
from tests.usecases.test_changing_address import NEW, OLD, ask, confirm, mailed


@pytest.mark.requirement("D-14")
def test_a_link_to_the_old_mailbox_is_void_although_the_change_began_before_its_mail_was_claimed(transaction, clock):
    """Its time says that it is younger than the change, which was committed last: it is the address that tells."""
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        token = ask(tx, reader)
    mailed(transaction, clock)
    with transaction() as tx:
        private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)))
    clock.advance(minutes=1)
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    write, written = sender.write, []

    def write_while_switching(letter, now):
        with transaction() as tx:
            tx.now -= timedelta(seconds=30)  # when it began
            assert isinstance(confirm(tx, token), Changed)
        written.append((letter.address, seal_link(KEYS, reader, letter.address, now)))
        return write(letter, now)

    sender.write = write_while_switching
    send_due(sender)
    [(address, link)] = written
    assert address == OLD
    with transaction() as tx:
        assert isinstance(private.open_private(tx, KEYS, link), private.PrivateExpired)
        to_the_new_one = seal_link(KEYS, reader, NEW, tx.now)
        assert isinstance(private.open_private(tx, KEYS, to_the_new_one), private.Private)
