"""The Merkle tree over the ledger's events (RFC 6962 §2.1): growing it, its root, and proofs of inclusion.

Only the roots of its complete subtrees are kept (the frontier), so growing costs the new leaves and nothing else. An
event is proven against the checkpoint that first covered it: that takes the frontier before and the leaves since.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

EMPTY = sha256().digest()


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """A tree of `size` leaves, by the roots of its complete subtrees, largest first."""

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.roots) != self.size.bit_count():
            raise ValueError("a tree has one complete subtree for each bit of its size")

    def add(self, leaf_hash: bytes) -> None:
        self.roots.append(leaf_hash)
        full = self.size
        while full & 1:
            right = self.roots.pop()
            self.roots.append(node(self.roots.pop(), right))
            full >>= 1
        self.size += 1

    def grown(self, leaves: Iterable[bytes]) -> "Frontier":
        """A copy with more leaves; they come as hashes."""
        after = Frontier(self.size, list(self.roots))
        for leaf_hash in leaves:
            after.add(leaf_hash)
        return after

    def root(self) -> bytes:
        if not self.roots:
            return EMPTY
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node(left, root)
        return root


def inclusion_path(before: Frontier, new: Sequence[bytes], position: int) -> list[bytes]:
    """What proves the leaf at `position` in the tree that is `before` and then the leaf hashes `new`, lowest first.

    `position` must be among the new ones: an older leaf was proven by an earlier tree.
    """
    size = before.size + len(new)
    if not before.size <= position < size:
        raise ValueError("only a leaf that this growth added can be proven with it")
    complete = _complete_subtrees(before)

    def subtree(start: int, end: int) -> bytes:
        """Every subtree beside a path to a new leaf is complete and old, or ends in new leaves only."""
        if end <= before.size:
            return complete[start, end]
        if end - start == 1:
            return new[start - before.size]
        middle = start + _split(end - start)
        return node(subtree(start, middle), subtree(middle, end))

    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if position < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def root_of_path(leaf_hash: bytes, position: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that `path` leads to from the leaf at `position` of `size`; None if it cannot be a path of such a leaf.

    RFC 9162 §2.1.3.2.
    """
    if not 0 <= position < size:
        return None
    fn, sn, found = position, size - 1, leaf_hash
    for sibling in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            found = node(sibling, found)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            found = node(found, sibling)
        fn >>= 1
        sn >>= 1
    return found if sn == 0 else None


def _complete_subtrees(tree: Frontier) -> dict[tuple[int, int], bytes]:
    found = {}
    start = 0
    for root, bit in zip(tree.roots, _bits(tree.size), strict=True):
        found[start, start + bit] = root
        start += bit
    return found


def _bits(number: int) -> list[int]:
    return [1 << place for place in range(number.bit_length() - 1, -1, -1) if number >> place & 1]


def _split(size: int) -> int:
    """The largest power of two that is smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1
