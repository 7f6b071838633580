"""What is shaped like an address never gets into a log; what is not, stays readable."""

import json
import re
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.redaction import redact

HIDDEN = [
    "ada@example.org",
    "Ada.Lovelace+news@mail.example.co.uk",
    "o'neill@example.org",
    "jörgen@bücher.example",
    "ada@xn--bcher-kva.example",
    "ada%40example.org",
    "ada%2540example.org",
    "ada=40example.org",
    "ada&#64;example.org",
    "ada＠example.org",
    "ada@[192.0.2.1]",
    r"j\u00f6rgen@b\u00fccher.example",
    r"ada\u0040example.org",
    "{ada}@example.org",
    "ada'@example.org",
    "'ada@example.org",
    "ada/lovelace@example.org",
    "ada=lovelace?&|~`^#!$%*@example.org",
    "/G=Ada/S=Lovelace/@example.org",
    "ada@example%2Eorg",
    "ada%40example%2eorg",
    "ada%2540example%252Eorg",
    "ada=40example=2Eorg",
    "ada@mail=2Eb=C3=BCcher=2Eexample",
    "ada&#64;example&#46;org",
    r"ada\u0040example\u002eorg",
    "ada＠example。org",
    "ada%40%5B192.0.2.1%5D",
]
AROUND = [
    "{}",
    "mailbox <{}> is unknown",
    "DETAIL:  Key (address)=({}) already exists.",
    'Failing row contains (1, {}, "ada", null).',
    "GET /subscribe?address={}&language=en",
    "https://news.example.org/r/{}/x",
    "{{'address': '{}', 'id': 7}}",
    'address="{}"',
    "RCPT TO:<{}>",
    "postgresql://{}/milepost",
    "line one\nmailto:{}\nline three",
    "to={};from=nobody",
]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("address", HIDDEN)
def test_an_address_is_hidden_wherever_it_stands(address: str, around: str) -> None:
    said = redact(around.format(address))
    assert "[address]" in said
    for part in ("ada", "Ada", "o'neill", "rgen", "Lovelace"):
        assert part not in said.replace('"ada"', "")
    before, after = around.format("\0").split("\0")
    assert said.endswith(after)
    # What might be a part of the address goes with it: "to=", a path.
    assert said.startswith(re.sub(r"[^\s\"<>()\[\],:;@]+\Z", "", before))


@pytest.mark.parametrize("address", HIDDEN)
def test_json_stays_json(address: str) -> None:
    line = json.dumps({"event": f"refused\n{address}", "list": [address, f'"{address}"'], address: 1})
    assert set(json.loads(redact(line))) == {"event", "list", "[address]"}


def test_a_name_in_quotes_is_hidden_and_a_text_that_begins_with_an_at_is_none() -> None:
    assert redact('to "Ada Lovelace"@example.org, quickly') == "to [address], quickly"
    for value in (
        {"to": 'x "Ada Lovelace"@example.org'},
        ["a", "@example.org"],
        {"a": 1, "@example.org": 2},
        '"@x.org',
    ):
        line = redact(json.dumps(value))
        assert "Lovelace" not in line
        assert type(json.loads(line)) is type(value)


def test_what_stands_around_stays_legible() -> None:
    assert redact("{'address': 'ada@example.org', 'id': 7}") == "{'address': '[address]', 'id': 7}"
    assert redact("postgresql://ada@example.org/milepost") == "postgresql://[address]/milepost"


@pytest.mark.parametrize(
    "plain",
    [
        "@app.command()",
        "    @property",
        "celery@worker1: OK",
        "id=17 status=failed code=550 5.1.1",
        "price is 40% off, 100%40",
        "a @ b.c",
        "127.0.0.1:8025 → 10.0.0.1",
        "2026-03-02T09:00:00.000000Z",
        "x = y @ z.T",
        '["a", "@b"]',
        "https://www.example.org/a/b?c=d&e=f%2Fg",
        "=40=2E %40%2E @. &#64;&#46;",
    ],
)
def test_what_is_no_address_stays(plain: str) -> None:
    assert redact(plain) == plain


@given(
    local=st.from_regex(r"[A-Za-z0-9.!#$%&'*+\-/=?^_`{|}~]{1,20}", fullmatch=True),
    domain=st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{1,10}){1,3}", fullmatch=True),
    encode=st.sampled_from([str, lambda text: quote(text, safe=""), lambda text: quote(quote(text, safe=""), safe="")]),
)
def test_any_address_is_hidden(local: str, domain: str, encode) -> None:
    said = redact(f"refused {encode(f'{local}@{domain}')} for good")
    assert said == "refused [address] for good"


PIECES = (
    "a",
    "a@",
    "%40",
    "%40a.",
    "=40",
    "=40a",
    "a.",
    "@a.",
    "\\u00e5",
    "\\",
    "@\\",
    '"\\',
    "'a",
    ' "@a.b',
    "@[a",
    "/@a.b",
)


@pytest.mark.parametrize("piece", PIECES)
def test_a_line_without_end_takes_a_time_by_its_length(piece: str) -> None:
    """A megabyte at once: under a second, and a margin for a busy machine."""
    began = time.process_time()
    redact(piece * (1_000_000 // len(piece)))
    assert time.process_time() - began < 3
