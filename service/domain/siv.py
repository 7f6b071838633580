"""AES-SIV over several blocks at once: what `AESSIV` of cryptography gives for each, in a fifth of the time.

For one block of 16 bytes with one piece of associated data, RFC 5297 comes down to two AES blocks: V = E(K1, P ^ D),
where D follows from key and associated data, and C = P ^ E(K2, V without two bits). So three tokens are two calls, and
writing them out in base32 is a handful of operations on one large number. Opening is left to `AESSIV`.
"""

from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

_BLOCK = 128
_WHOLE = 2**_BLOCK - 1
_WITHOUT_TWO = _WHOLE & ~(1 << 63 | 1 << 31)
"""RFC 5297 §2.5."""
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567"
_LETTER_OF = bytes(_LETTERS[byte % 32] for byte in range(256))
_ROOM = 512
"""Bits for one token while it is spread out: 64 letters, of which 52 are used."""
LENGTH = 52
"""Letters of a token: 256 bits, five to a letter."""


class Siv:
    """Seals as many blocks at once as there are `kinds`, each with its own associated data."""

    def __init__(self, key: bytes, kinds: Sequence[bytes]) -> None:
        """`key` is AESSIV's: its first half authenticates, its second encrypts."""
        half = len(key) // 2
        self._authenticate = _blocks(key[:half])
        self._encrypt = _blocks(key[half:])
        subkey = _double(int.from_bytes(self._authenticate(bytes(16))))
        zero = _double(_cmac(key[:half], bytes(16)))
        self._derived = _in_a_row([zero ^ _cmac(key[:half], kind) ^ subkey for kind in kinds], _BLOCK)
        self._kept = _in_a_row([_WITHOUT_TWO] * len(kinds), _BLOCK)
        self._places = [
            (_BLOCK * place, _ROOM * place + _ROOM // 8 * 5 - 2 * _BLOCK) for place in range(len(kinds))
        ]  # fmt: skip
        self._ends = [(start, start + LENGTH) for start in range(0, len(kinds) * _ROOM // 8, _ROOM // 8)]
        self._steps = [_step(letters, len(kinds)) for letters in (64, 32, 16, 8, 4, 2)]
        self._sizes = len(kinds) * _BLOCK // 8, len(kinds) * _ROOM // 8

    def seal(self, blocks: int) -> list[bytes]:
        """The blocks, 128 bits each with the first kind's on top, as base32 in lower case."""
        size, letters = self._sizes
        checks = int.from_bytes(self._authenticate((blocks ^ self._derived).to_bytes(size)))
        sealed = blocks ^ int.from_bytes(self._encrypt((checks & self._kept).to_bytes(size)))
        spread = 0
        for place, room in self._places:
            spread |= ((checks >> place & _WHOLE) << _BLOCK | sealed >> place & _WHOLE) << room
        for low, high, shift in self._steps:
            spread = spread & low | (spread & high) << shift
        text = spread.to_bytes(letters).translate(_LETTER_OF)
        return [text[start:end] for start, end in self._ends]


def _blocks(key: bytes) -> Callable[[bytes], bytes]:
    """AES of each 16 bytes by themselves: what SIV is made of, and nothing to encrypt with by itself."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305


def _cmac(key: bytes, message: bytes) -> int:
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return int.from_bytes(mac.finalize())


def _double(block: int) -> int:
    """RFC 5297 §2.3."""
    block <<= 1
    return (block ^ 0x87) & _WHOLE if block >> _BLOCK else block


def _in_a_row(values: Sequence[int], bits: int) -> int:
    row = 0
    for value in values:
        row = row << bits | value
    return row


def _step(letters: int, tokens: int) -> tuple[int, int, int]:
    """Of every so many letters of five bits, the first half goes to where they have room for eight each."""
    bits = letters // 2 * 5
    low = _in_a_row([(1 << bits) - 1] * (64 // letters * tokens), letters * 8)
    return low, low << bits, letters // 2 * 3
