"""By when the law wants an answer: one month for a person's request, 72 hours for a breach."""

import calendar
from datetime import datetime, timedelta

BREACH = timedelta(hours=72)
"""From when it is known until the authority is told (GDPR 33(1), D-23)."""


def answer_due(asked_at: datetime) -> datetime:
    """One month later (GDPR 12(3)): the same day of the next month, or its last one (Regulation 1182/71 Art. 3(2))."""
    year, month = divmod(asked_at.year * 12 + asked_at.month, 12)
    month += 1
    return asked_at.replace(year=year, month=month, day=min(asked_at.day, calendar.monthrange(year, month)[1]))
