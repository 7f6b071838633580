"""The ledger's arithmetic: a subject's key opens its places, and the key of one place opens no other."""

import pytest

from service.domain.ledger import LedgerKeys, decrypt, decrypt_place, encrypt, place_key
from tests.usecases.builders import KEYS


def test_the_key_of_a_place_opens_that_place_only() -> None:
    key, _ = KEYS.ledger.new_subject_key(7)
    first, second = encrypt(key, b"first", b"record 1"), encrypt(key, b"second", b"record 2")
    assert decrypt(key, first, b"record 1") == b"first"
    given_away = place_key(key, b"record 1")
    assert decrypt_place(given_away, first, b"record 1") == b"first"
    for sealed, place in ((second, b"record 2"), (second, b"record 1"), (first, b"record 2"), (b"short", b"record 1")):
        with pytest.raises(ValueError, match="not encrypted"):
            decrypt_place(given_away, sealed, place)


def test_a_subjects_key_is_stored_for_that_subject_by_this_installation() -> None:
    key, stored = KEYS.ledger.new_subject_key(7)
    assert KEYS.ledger.unwrap(7, stored) == key
    with pytest.raises(ValueError, match="not stored"):
        KEYS.ledger.unwrap(8, stored)
    with pytest.raises(ValueError, match="not stored"):
        LedgerKeys("another secret of another installation").unwrap(7, stored)
