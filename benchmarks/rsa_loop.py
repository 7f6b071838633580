"""What one core can sign if it does nothing else: RSA-2048 with SHA-256, as every DKIM signature needs it."""

import time
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AT_ONCE = 50


@dataclass(frozen=True)
class Rate:
    per_s: float
    """Signatures a second."""
    cpu_us: float
    """CPU time of one."""


def measure(seconds: float) -> Rate:
    key = rsa.generate_private_key(65537, 2048)
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        for number in range(AT_ONCE):
            key.sign(number.to_bytes(32), padding.PKCS1v15(), hashes.SHA256())
        count += AT_ONCE
    return Rate(count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6)
