"""Tokens that were mailed years ago must still be what they were."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import tokens
from service.domain.tokens import Keys, Token, TokenKind, purpose_flag, purpose_from_flag
from service.domain.words import Purpose

KEYS = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu")


@pytest.mark.requirement("A-26")
@given(st.binary(min_size=32, max_size=32))
def test_a_token_is_written_in_the_base32_that_everybody_reads(sealed: bytes) -> None:
    assert tokens._text(sealed) == base64.b32encode(sealed).decode().rstrip("=").lower()


@pytest.mark.requirement("C-01")
@given(
    st.builds(
        Token,
        st.sampled_from(TokenKind),
        st.integers(0, 2**48 - 1),
        st.integers(0, 2**48 - 1),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**8 - 1),
    )
)
def test_a_token_opens_as_what_was_sealed_and_as_no_other_kind(token: Token) -> None:
    sealed = KEYS.seal(token)
    assert KEYS.seal_fields(token.kind, token.first, token.second, token.small, token.flag) == sealed
    for kind in TokenKind:
        assert KEYS.open(kind, sealed.upper()) == (token if kind is token.kind else None)


def test_the_flag_of_a_purpose_never_changes() -> None:
    assert [purpose_flag(purpose) for purpose in (None, *Purpose)] == list(range(len(Purpose) + 1))
    assert [purpose_from_flag(purpose_flag(purpose)) for purpose in Purpose] == list(Purpose)
