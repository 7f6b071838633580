"""Tokens that were mailed years ago must still be what they were."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.tokens import Keys, Token, TokenKind, purpose_flag, purpose_from_flag
from service.domain.words import Purpose

KEYS = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu")


@pytest.mark.requirement("A-26", "C-01")
@given(*[st.integers(0, 2**bits - 1) | st.sampled_from([0, 1, 2**bits - 1]) for bits in (48, 48, 16, 8)])
@settings(max_examples=500)
def test_the_tokens_of_a_mail_are_those_that_are_sealed_one_by_one(
    subscriber: int, delivery: int, list_id: int, flag: int
) -> None:
    """Whose sealing is the AES-SIV of `cryptography`; theirs is our own."""
    assert [token.decode() for token in KEYS.seal_mail(subscriber, delivery, list_id, flag)] == [
        KEYS.seal(Token(TokenKind.UNSUBSCRIBE, subscriber, delivery, list_id, flag)),
        KEYS.seal(Token(TokenKind.CONTROL, subscriber)),
        KEYS.seal(Token(TokenKind.BOUNCE, delivery)),
    ]


@pytest.mark.parametrize(
    "numbers", [(2**48, 1, 1, 1), (1, 2**48, 1, 1), (1, 1, 2**16, 1), (1, 1, 1, 2**8), (-1, 1, 1, 1)]
)
def test_a_number_that_has_no_room_is_refused_and_changes_no_other(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="too large"):
        KEYS.seal_mail(*numbers)


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
    for kind in TokenKind:
        assert KEYS.open(kind, sealed.upper()) == (token if kind is token.kind else None)


def test_the_flag_of_a_purpose_never_changes() -> None:
    assert [purpose_flag(purpose) for purpose in (None, *Purpose)] == list(range(len(Purpose) + 1))
    assert [purpose_from_flag(purpose_flag(purpose)) for purpose in Purpose] == list(Purpose)
