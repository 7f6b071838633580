"""The floor of every country, for every list, in one story: from a mail of long ago to silence, and the proof after."""

import re
from email import message_from_bytes, policy

import pytest
from sqlalchemy import text

from service.domain.words import ConsentState, Lane
from service.usecases.dispatching import send_due
from service.usecases.proving import prove
from tests.usecases.sending import a_sender, ordered
from tests.web.conftest import ANNA

YEARS_LATER = 365 * 20
"""Days. CAN-SPAM asks for 30, others for 60; ours never end."""


@pytest.mark.requirement("D-36")
def test_a_mail_of_long_ago_still_ends_everything_at_once(client, reader, container, clock) -> None:
    reader.sign_up(purposes=["digest", "offers"])
    reader.process()
    assert reader.confirm().status_code == 200
    with container.transaction() as tx:
        list_id = tx.session.scalar(text("SELECT min(list_id) FROM subscriptions"))
        ordered(tx, list_id, "long ago")
    sender = a_sender(container.transaction, clock, lane=Lane.BULK, write=container.writer.write)
    send_due(sender)
    [mailed] = sender.transport.accepted
    mail = message_from_bytes(mailed.data, policy=policy.default)

    # Who writes, and where they can be found: name, mailbox, postal address, in both parts.
    publisher = container.publisher
    assert (mail["From"].addresses[0].display_name, mail["From"].addresses[0].addr_spec) == (
        publisher.sender_name,
        publisher.sender_address,
    )
    for part in mail.iter_parts():
        said = re.sub(r"\s+", " ", part.get_content())
        assert publisher.name in said
        assert publisher.postal_address in said

    # Another campaign is under way when the link of the old mail is used, without cookie, login or script.
    clock.advance(days=YEARS_LATER)
    with container.transaction() as tx:
        campaign_id = ordered(tx, list_id, "now")
    link = re.fullmatch(r"<(http://localhost:8025(/u/\w+))>", mail["List-Unsubscribe"])
    assert client.get(link[2]).status_code == 200
    assert client.post(link[2], data={"List-Unsubscribe": "One-Click"}).status_code == 200

    # At once: what was planned before is not sent any more.
    send_due(sender)
    assert len(sender.transport.accepted) == 1
    with container.transaction() as tx:
        skipped = tx.session.execute(
            text("SELECT status, skip_reason FROM deliveries WHERE campaign_id = :id"), {"id": campaign_id}
        ).all()
    assert [tuple(row) for row in skipped] == [("skipped", "no_consent")]

    # And the proof of both, the agreement and its end, is kept.
    with container.transaction() as tx:
        made = prove(tx, container.keys, container.erasure_log, ANNA["address"], actor="ada", reason="a test")
    states = [event["record"]["state"] for subject in made.proof["subjects"] for event in subject["events"]]
    assert ConsentState.GIVEN in states
    assert states[-1] == ConsentState.WITHDRAWN
