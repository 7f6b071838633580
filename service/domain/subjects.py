"""Whether a subject line may be sent: what a person must not do to it, decided before a campaign is ordered."""

import re

from service.errors import Kind, ServiceError

LONGEST = 200
"""Characters. Mail clients show 40 to 80."""

_THREAD_MARKER = re.compile(r"\s*(re|fwd?|aw|wg|antw|sv|vs|tr|rif|res)\s*(\[\d+\]|\(\d+\))?\s*[:\uff1a]", re.IGNORECASE)
"""Prefixes that mail clients put before replies and forwards, in the languages of their interfaces (A-09)."""


def check_subject(subject: str) -> str:
    """The subject without surrounding blanks. Raises ServiceError (`invalid`, field `subject`).

    Characters that have no business in a header are refused, never cleaned away (A-16).
    """
    subject = subject.strip(" ")
    if not subject:
        raise _refusal("subject_empty", "The subject is empty. Nothing was saved. Write one.")
    if len(subject) > LONGEST:
        raise _refusal(
            "subject_too_long", f"The subject has {len(subject)} characters, more than {LONGEST}. Nothing was saved."
        )
    if not subject.isprintable():
        raise _refusal(
            "subject_control_character",
            "The subject holds a line break or another invisible character. Nothing was saved. Type it on one line.",
        )
    if marker := _THREAD_MARKER.match(subject):
        raise _refusal(
            "subject_pretends_reply",
            f"The subject begins with {marker[0].strip()!r}, as if it were a reply or a forward. Nothing was saved. "
            "Mailbox providers treat that as deception; leave it out.",
        )
    return subject


def _refusal(code: str, message: str) -> ServiceError:
    return ServiceError(Kind.INVALID, code, message, field="subject")
