"""What a relay does to a mail is found and named; what hops are meant to add is not."""

import pytest

from service.domain.relay_probes import compare
from service.domain.words import MailKind
from tests.mail.letters import NOW, WRITER, a_letter

pytestmark = pytest.mark.requirement("D-34")

SENT = WRITER.write(
    a_letter(MailKind.CAMPAIGN, body="# Hello\n\nLook at [this](https://www.fjellsko.example/new)."), NOW
).data
TRACE = (
    b"Return-Path: <b+x@bounces.fjellsko.example>\r\nReceived: from milepost by a relay\r\n\twith ESMTPS; today\r\n"
    b"ARC-Seal: i=1; a=rsa-sha256\r\nX-Relay-Queue: 4711\r\nDKIM-Signature: v=1; d=fjellsko.example\r\n"
)


def test_a_relay_that_carries_and_no_more() -> None:
    assert compare(SENT, TRACE + SENT) == []
    assert compare(SENT, (TRACE + SENT).replace(b"\r\n", b"\n")) == [], "as many programs save it"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (b"https://www.fjellsko.example/new", b"https://click.relay.example/x?r=17", "The body was changed"),
        (b"</div>", b'<img src=3D"https://relay.example/o.gif" width=3D"1"></div>', "The body was changed"),
        (b"List-Unsubscribe: <https://news.", b"List-Unsubscribe: <https://relay.", "list-unsubscribe was changed"),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b"", "list-unsubscribe-post is gone"),
        (b"\r\nSubject:", b"\r\nSender: relay@relay.example\r\nSubject:", "sender was added"),
        (b"\r\nMessage-ID: <", b"\r\nMessage-ID: <relay-", "message-id was changed"),
        (b"\r\nSubject: ", b"\r\nSubject: [Bulk] ", "subject was changed"),
    ],
)
def test_what_a_relay_does_to_it_is_named(before: bytes, after: bytes, says: str) -> None:
    assert before in SENT
    [found] = compare(SENT, TRACE + SENT.replace(before, after, 1))
    assert says in found


def test_what_is_appended_and_cut_off() -> None:
    assert compare(SENT, SENT + b"-- \r\nSent by a relay\r\n") == ["The body arrived longer by 2 lines."]
    assert "shorter" in compare(SENT, SENT[: SENT.rindex(b"\r\n--")])[0]


def test_another_order_of_headers() -> None:
    first, _, rest = SENT.partition(b"\r\n")
    second, _, rest = rest.partition(b"\r\n")
    assert compare(SENT, b"\r\n".join([second, first, rest])) == [
        "The headers arrived in another order, which breaks some signatures."
    ]
