"""How long a request that was done is remembered, so that sending it again does nothing more (E-12)."""

from datetime import timedelta

REMEMBERED = timedelta(hours=24)
LONGEST_KEY = 255
