"""The bytes of a message: 7 bit, CRLF, short lines, and bodies that are read back as they were rendered."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.domain.outcomes import Message
from service.mail import compose, headers
from tests.mail.letters import parsed, parts

FIELDS = (headers.mailbox("From", "Fjellsko", "training@fjellsko.example"), headers.unstructured("Subject", "Hello"))

bodies = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=400) | st.lists(
    st.sampled_from([".", "..", "\n", "\r\n", "\r", " ", "\t", "=", "=_", "--", "é", "🏃", "x" * 80, "From ", "a"]),
    max_size=60,
).map("".join)
body = bodies.filter(str.strip)


def message(text: str, html: str = "<p>Hello</p>") -> Message:
    return Message(1, "b@example.org", "ada@example.org", compose.message(FIELDS, text, html))


def as_lines(text: str) -> str:
    """What a reader sees: every kind of line end is one, and the last line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"


@given(text=body, html=body)
@example(text="one\n.\ntwo\n..\n.three", html=".")
@example(text="x" * 5000, html="<p>" + "y" * 5000 + "</p>")
@example(text="ends in blanks   \nand a tab\t\n \nx", html="x \t")
@example(text="🏃" * 400 + "𝔘𝔫𝔦", html="x")
@example(text="--=_0\n--\n-- \n--=_0--", html="=_=\n=3D")
@example(text=f"{'a' * 75} {'b' * 75} {'c' * 76} ", html="x")
@example(text="a\r\nb\rc\n\rd", html="x")
@example(text="\x0b\x0c\x1c\x85\u2028\u2029x", html="x")
def test_bodies_are_read_back_as_they_were_rendered(text: str, html: str) -> None:
    """A-03, A-04."""
    assert parts(message(text, html)) == (as_lines(text), as_lines(html))


@given(text=body, html=body)
@example(text="one\n.\ntwo\r\n.\r\n", html="\r\n.\r\nMAIL FROM:<eve@example.org>\r\n")
@example(text="long " * 2000, html="<td>" * 3000)
@example(text="end of a line with a blank \n" * 3, html="x" * 10_000)
def test_the_bytes_are_fit_for_any_relay(text: str, html: str) -> None:
    """A-01, A-02, A-03: below 0x80, CRLF only, no NUL, lines of the bodies at most 76 octets."""
    data = message(text, html).data
    assert data.isascii()
    assert b"\0" not in data
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", data) is None
    assert data.endswith(b"\r\n")
    head, _, rest = data.partition(b"\r\n\r\n")
    assert all(len(line) <= 76 and not line.endswith((b" ", b"\t")) for line in rest.split(b"\r\n"))
    assert all(len(line) <= 78 for line in head.split(b"\r\n"))


def test_a_lone_dot_is_encoded() -> None:
    """A-01: a wire that forgot to stuff dots would end the message there."""
    assert b"\r\n=2E\r\n" in message("a\n.\nb").data


@given(text=body)
@example(text="-- \n--=_" + "0" * 24 + "--\n=_")
def test_the_boundary_stands_in_no_body(text: str) -> None:
    """A-21: three delimiters and the parameter, nowhere else; another message has another."""
    data = message(text, text).data
    boundary = parsed(data).get_boundary()
    assert boundary is not None
    assert data.count(boundary.encode()) == data.count(b"=_") == 4
    assert boundary.encode() not in message(text, text).data


def test_the_structure_is_least_faithful_first() -> None:
    """A-19, A-05, A-20: text, then HTML, both quoted-printable UTF-8; no attachment, not flowed."""
    mail = parsed(message("Hello", "<p>Hello</p>"))
    assert mail.get_content_type() == "multipart/alternative"
    for part, content_type in zip(mail.iter_parts(), ("text/plain", "text/html"), strict=True):
        assert part.items() == [
            ("Content-Type", f'{content_type}; charset="utf-8"'),
            ("Content-Transfer-Encoding", "quoted-printable"),
        ]


@pytest.mark.parametrize("empty", ["", " ", "\r\n \n", "Hello\0"])
def test_a_body_that_is_empty_or_holds_nul_is_refused(empty: str) -> None:
    for text, html in (("Hello", empty), (empty, "<p>Hello</p>")):
        with pytest.raises(ValueError, match="empty or holds NUL"):
            compose.message(FIELDS, text, html)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        compose.message(FIELDS, "Hello \ud800", "<p>Hello</p>")


@pytest.mark.parametrize("name", ["MIME-Version", "content-type"])
def test_the_mime_fields_are_the_composers(name: str) -> None:
    with pytest.raises(headers.HeaderError, match="twice"):
        compose.message([*FIELDS, headers.structured(name, "text/plain")], "Hello", "<p>Hello</p>")
