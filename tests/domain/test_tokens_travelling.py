"""Tokens on their way: mail systems change their case, people cut them off, strangers make some up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.tokens import TOKEN_LENGTH, Keys, Token, TokenKind

KEYS = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu")
OTHER_KEYS = Keys("Jw5nTq8YcR2bXe7UvM4kPz9GhD6sLa3F")
tokens = st.builds(
    Token,
    st.sampled_from(TokenKind),
    st.integers(0, 2**48 - 1),
    st.integers(0, 2**48 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**8 - 1),
)


@pytest.mark.requirement("C-01", "A-26")
@given(token=tokens, upper=st.lists(st.booleans(), min_size=TOKEN_LENGTH, max_size=TOKEN_LENGTH))
def test_a_token_opens_in_whatever_case_it_comes_back(token: Token, upper: list[bool]) -> None:
    sealed = KEYS.seal(token)
    changed = "".join(letter.upper() if up else letter for letter, up in zip(sealed, upper, strict=True))
    assert KEYS.open(token.kind, changed) == token


@pytest.mark.requirement("C-01")
@given(tokens)
def test_a_bounce_address_has_a_local_part_that_every_server_takes(token: Token) -> None:
    local = f"b+{KEYS.seal(token)}"
    assert len(local) <= 64
    assert set(local) <= set("+abcdefghijklmnopqrstuvwxyz234567")


@pytest.mark.requirement("C-01", "A-26")
@given(token=tokens, place=st.integers(0, TOKEN_LENGTH - 1), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
@settings(max_examples=500)
def test_a_token_with_another_letter_opens_nothing(token: Token, place: int, letter: str) -> None:
    sealed = KEYS.seal(token)
    forged = sealed[:place] + letter + sealed[place + 1 :]
    assert KEYS.open(token.kind, forged) == (token if forged == sealed else None)


@pytest.mark.requirement("A-26")
@given(token=tokens, kind=st.sampled_from(TokenKind))
def test_a_token_acts_for_what_it_was_made_for_and_here_only(token: Token, kind: TokenKind) -> None:
    sealed = KEYS.seal(token)
    assert KEYS.open(kind, sealed) == (token if kind is token.kind else None)
    assert OTHER_KEYS.open(token.kind, sealed) is None


@given(st.text(max_size=60) | st.text(alphabet="abcdefgABCDEFG234567=", min_size=52, max_size=52))
def test_what_strangers_make_up_opens_nothing(text: str) -> None:
    assert all(KEYS.open(kind, text) is None for kind in TokenKind)


@pytest.mark.requirement("A-26")
def test_tokens_of_earlier_mails_open_for_ever() -> None:
    """Written down once: whatever changes in how they are made, these are in mails already."""
    bounce = KEYS.open(TokenKind.BOUNCE, "chkx2kag5kctg34l7fpmfyfx2eudw7yybvfwgwux5yhubrjd7emq")
    assert bounce == Token(TokenKind.BOUNCE, 4711)
    unsubscribe = KEYS.open(TokenKind.UNSUBSCRIBE, "tlaei2jcd2rvyoyol36o5irj6npkxryqigw74xfnjnlputtr56ea")
    assert unsubscribe == Token(TokenKind.UNSUBSCRIBE, 17, 4711, 3, 1)
