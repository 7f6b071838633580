"""Header fields as bytes: nothing breaks out, everything is read back as it was, lines stay short."""

import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from service.mail import headers
from tests.mail.letters import BREAKING, LONG_HOST, hostile, text

printable = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=300)
ascii_words = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=300)
names = st.sampled_from(["Subject", "From", "X-Auto-Response-Suppress"])


def read(field: bytes) -> str:
    """What the standard library makes of the one field in these bytes."""
    mail = message_from_bytes(field + b"\r\nbody\r\n", policy=policy.default)
    assert len(mail.keys()) == 1, mail.keys()
    assert not mail.defects
    return str(next(iter(mail.values())))


def lines(field: bytes) -> list[bytes]:
    assert field.endswith(b"\r\n")
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0", field) is None
    assert field.isascii()
    return field.removesuffix(b"\r\n").split(b"\r\n")


@pytest.mark.parametrize("breaking", BREAKING)
@pytest.mark.parametrize(
    "make",
    [
        lambda value: headers.unstructured("Subject", value),
        lambda value: headers.mailbox("From", value, "training@fjellsko.example"),
        lambda value: headers.mailbox("To", None, f"ada{value}@example.org"),
        lambda value: headers.items("List-Id", ["training.example.org"], label=value),
        lambda value: headers.items("List-Help", [f"https://example.org/{value}"]),
        lambda value: headers.structured("Feedback-ID", value),
        lambda value: headers.structured(value, "1.0"),
    ],
    ids=["unstructured", "display name", "address", "label", "item", "structured", "name"],
)
def test_a_value_that_could_break_out_is_refused_and_not_repeated(make: object, breaking: str) -> None:
    """A-16: refused, never cleaned; at the end of a value too."""
    for value in (f"Hello{breaking}Bcc: eve@example.org", f"Hello{breaking}", f"{breaking}Hello"):
        with pytest.raises(headers.HeaderError) as refused:
            make(value)  # type: ignore[operator]
        assert "eve" not in str(refused.value)


@given(value=text | hostile)
def test_no_value_adds_a_field(value: str) -> None:
    for make in (
        lambda: headers.unstructured("Subject", value),
        lambda: headers.mailbox("From", value, "training@fjellsko.example"),
        lambda: headers.items("List-Id", ["training.example.org"], label=value),
        lambda: headers.items("List-Help", [value]),
        lambda: headers.structured("Feedback-ID", value),
    ):
        try:
            field = make()
        except headers.HeaderError:
            continue
        assert all(line.startswith(b" ") for line in lines(field)[1:])
        read(field)


@given(value=printable)
@example(value="🏃‍♀️" * 60)
@example(value="Straße " * 40)
@example(value="=?utf-8?q?=41?= is what was typed")
@example(value="  two blanks  in  the middle and around  ")
@example(value="a" * 300)
@example(value="trailing ")
def test_a_subject_is_read_back_as_it_was_written(value: str) -> None:
    assume(value.strip())
    field = headers.unstructured("Subject", value)
    assert read(field) == value


@given(value=printable, name=names)
@example(value="é" + "a" * 300, name="Subject")
@example(value="漢" * 100, name="X-Auto-Response-Suppress")
def test_encoded_words_are_short_and_whole(value: str, name: str) -> None:
    """RFC 2047 §2: at most 75 characters, 76 to the line; §5: each word holds whole characters (A-15)."""
    assume(value.strip())
    field = headers.unstructured(name, value)
    for line in lines(field):
        assert len(line) <= 78
        if b"=?" in line:
            assert len(line) <= 76
    for word in re.findall(rb"=\?\S+\?=", field):
        assert len(word) <= 75
        assert read(b"Subject: " + word + b"\r\n").isprintable() or not value.isprintable()


@given(value=ascii_words)
def test_lines_are_folded_at_78(value: str) -> None:
    """A-02."""
    assume(value.strip())
    assert max(map(len, lines(headers.unstructured("Subject", value)))) <= 78
    assert all(line.strip() for line in lines(headers.unstructured("Subject", value)))  # RFC 5322 §3.2.2


@pytest.mark.parametrize("blank", ["", " ", "   "])
def test_an_empty_subject_is_refused(blank: str) -> None:
    with pytest.raises(headers.HeaderError, match="empty"):
        headers.unstructured("Subject", blank)


@given(display_name=printable)
@example(display_name="Fjellsko, Training (Hub)")
@example(display_name='Ada "the fast" \\ Lovelace')
@example(display_name="Løping & Styrke")
@example(display_name="training@fjellsko.example")
@example(display_name="x" * 200)
@example(display_name="training <eve@example.org>,")
def test_a_display_name_is_one_mailboxs_name(display_name: str) -> None:
    """A-07: exactly one mailbox, whatever its name looks like."""
    assume(display_name.strip())
    field = headers.mailbox("From", display_name, "training@fjellsko.example")
    assert max(map(len, lines(field))) <= 78
    mail = message_from_bytes(field + b"\r\n", policy=policy.default)
    (address,) = mail["From"].addresses
    assert address.addr_spec == "training@fjellsko.example"
    # Not `address.display_name`: this parser leaves a blank between encoded-words in a phrase (RFC 2047 §6.2).
    phrase = re.sub(r"\r\n ", " ", field.decode().removeprefix("From: ").rpartition("<")[0]).removesuffix(" ")
    if phrase.startswith('"'):
        assert re.sub(r"\\(.)", r"\1", phrase[1:-1]) == display_name
    else:
        assert str(make_header(decode_header(phrase))) == display_name


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example.org, eve@example.org",
        "Ada <ada@example.org>",
        "ada@example.org>",
        "ada @example.org",
        "adä@example.org",
        "ada@exämple.org",
        '"a b"@example.org',
        "ada@[127.0.0.1]",
        "a..b@example.org",
        "ada@-example.org",
    ],
)
def test_only_one_plain_address_is_a_mailbox(address: str) -> None:
    with pytest.raises(headers.HeaderError):
        headers.mailbox("To", None, address)


@given(token=st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=52, max_size=400), label=printable | st.just(""))
def test_items_are_never_folded_inside_and_never_encoded(token: str, label: str) -> None:
    """A-15, A-22: one item a line, whole between its brackets, however long."""
    values = [f"https://{LONG_HOST}/u/{token}", f"mailto:unsub+{token}@{LONG_HOST}?subject=unsubscribe"]
    field = headers.items("List-Unsubscribe", values, label=label)
    assert b"=?" not in field
    found = lines(field)
    assert len(found) <= 3
    items = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", b"\n".join(found))  # a quoted label may hold brackets of its own
    assert [item.decode() for item in re.findall(rb"<([^<>]*)>(?:,|$)", items, re.MULTILINE)] == values


@pytest.mark.parametrize("label", ["Løping", "=?utf-8?q?x?=", ""])
def test_a_label_that_would_have_to_be_encoded_is_left_out(label: str) -> None:
    assert headers.items("List-Id", ["t.example.org"], label=label) == b"List-Id: <t.example.org>\r\n"


def test_a_label_is_quoted() -> None:
    assert headers.items("List-Id", ["t.example.org"], label='Run "fast" \\ far') == (
        b'List-Id: "Run \\"fast\\" \\\\ far" <t.example.org>\r\n'
    )


def test_a_long_label_has_a_line_of_its_own() -> None:
    field = headers.items("List-Id", ["training.list-id.fjellsko.example"], label="Fjellsko Training Hub " * 3)
    assert max(map(len, lines(field))) <= 78


@pytest.mark.parametrize("item", ["", "two words", "a>b", "<a", "ä", "https://exämple.org/"])
def test_an_item_is_a_uri_or_an_identifier(item: str) -> None:
    with pytest.raises(headers.HeaderError):
        headers.items("List-Help", [item])


@pytest.mark.parametrize("value", ["", " x", "x ", "ä", "=?utf-8?q?x?="])
def test_a_structured_value_is_one_run_of_ascii(value: str) -> None:
    with pytest.raises(headers.HeaderError):
        headers.structured("Feedback-ID", value)


@pytest.mark.parametrize("over", [0, 1])
def test_no_line_is_longer_than_998_octets(over: int) -> None:
    """A-02: what cannot be folded and does not fit is refused."""
    value = "x" * (headers.LONGEST_LINE - len("Feedback-ID: ") + over)
    if over:
        with pytest.raises(headers.HeaderError, match="too long"):
            headers.structured("Feedback-ID", value)
    else:
        assert len(lines(headers.structured("Feedback-ID", value))[0]) == 998


@pytest.mark.parametrize("name", ["", "Sub ject", "Subject:", "Sübject", "-X", "X-"])
def test_a_name_is_a_name(name: str) -> None:
    with pytest.raises(headers.HeaderError, match="name"):
        headers.unstructured(name, "Hello")


def test_no_field_stands_twice() -> None:
    """A-06; names are the same in any case."""
    once = headers.structured("MIME-Version", "1.0")
    assert headers.serialise([once, headers.unstructured("Subject", "x")]).startswith(once)
    with pytest.raises(headers.HeaderError, match="twice"):
        headers.serialise([once, b"mime-version: 1.0\r\n"])
