"""The Merkle tree against the definition in RFC 6962 §2.1, written down naively here."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.merkle import EMPTY, Frontier, inclusion_path, leaf, root_of_path


def naive_root(entries: list[bytes]) -> bytes:
    """MTH(D[n])."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return sha256(b"\x01" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


def naive_path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m < k:
        return [*naive_path(m, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive_root(entries[:k])]


def entries(number: int, start: int = 0) -> list[bytes]:
    return [b"event %d" % n for n in range(start, start + number)]


def hashed(entries: list[bytes]) -> list[bytes]:
    return [leaf(entry) for entry in entries]


def test_the_root_of_rfc_6962_vectors() -> None:
    """The test vectors of the certificate-transparency project, as every implementation repeats them."""
    data = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
    assert Frontier().root() == EMPTY
    assert Frontier().grown(hashed(data[:1])).root().hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert Frontier().grown(hashed(data)).root().hex() == (
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"
    )


@given(st.integers(0, 70))
def test_the_root_is_the_definitions(size: int) -> None:
    assert Frontier().grown(hashed(entries(size))).root() == naive_root(entries(size))


@given(st.integers(0, 60), st.integers(0, 20))
def test_growing_needs_the_frontier_alone(before: int, more: int) -> None:
    kept = Frontier().grown(hashed(entries(before)))
    resumed = Frontier(kept.size, list(kept.roots)).grown(hashed(entries(more, start=before)))
    assert resumed.root() == naive_root(entries(before + more))
    assert kept.size == before, "what it grew from is left as it was"


@given(st.integers(0, 60), st.integers(1, 40), st.data())
def test_every_new_leaf_is_proven(before: int, more: int, data: st.DataObject) -> None:
    whole = entries(before + more)
    position = data.draw(st.integers(before, before + more - 1))
    path = inclusion_path(Frontier().grown(hashed(whole[:before])), hashed(whole[before:]), position)
    assert path == naive_path(position, whole)
    assert root_of_path(leaf(whole[position]), position, len(whole), path) == naive_root(whole)


@given(st.integers(2, 40), st.data())
def test_a_path_proves_one_leaf_at_one_place_in_one_tree(size: int, data: st.DataObject) -> None:
    whole = entries(size)
    position = data.draw(st.integers(0, size - 1))
    path = inclusion_path(Frontier(), hashed(whole), position)
    root = naive_root(whole)
    other = data.draw(st.integers(-1, size + 1).filter(lambda n: n != position))
    assert root_of_path(leaf(whole[position]), other, size, path) != root
    assert root_of_path(leaf(b"forged"), position, size, path) != root
    assert root_of_path(leaf(whole[position]), position, size, path[:-1]) != root
    assert root_of_path(leaf(whole[position]), position, size, [*path, root]) != root
    if path:
        changed = [*path]
        changed[data.draw(st.integers(0, len(path) - 1))] = EMPTY
        assert root_of_path(leaf(whole[position]), position, size, changed) != root


def test_only_what_was_added_is_proven() -> None:
    before = Frontier().grown(hashed(entries(5)))
    for position in (4, 8):
        with pytest.raises(ValueError, match="added"):
            inclusion_path(before, hashed(entries(3, start=5)), position)


def test_a_frontier_that_does_not_fit_its_size_is_refused() -> None:
    with pytest.raises(ValueError, match="complete subtree"):
        Frontier(3, [EMPTY])
