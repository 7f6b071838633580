"""What was true of the installation when somebody agreed: the part of a consent record that is the same for all.

Controller, processors, storage, law, rights, how consent is collected and withdrawn (D1 #3, #5, #13, #15, #16). Each
consent event is bound to the version in force by its hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.letters import Publisher
from service.domain.processors import Processor, describe_to_reader

NOT_STATED = "not stated"
RETENTION_RULE = "consent_proof"
REVIEW_MONTHS, VALID_MONTHS = 24, 36
"""D-12: looked at again after two years without a sign of life, ended or asked anew after three."""

RIGHTS = (
    "withdraw the consent at any time (GDPR Art. 7(3))",
    "access (Art. 15)",
    "rectification (Art. 16)",
    "erasure (Art. 17)",
    "restriction (Art. 18)",
    "portability (Art. 20)",
    "object to direct marketing at any time (Art. 21(2))",
    "complain to a supervisory authority (Art. 77)",
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the settings and the register of processors say, beyond the publisher. Empty: nobody has stated it."""

    jurisdiction: str = ""
    supervisory_authority: str = ""
    storage_location: str = ""
    data_protection_officer: str = ""
    processors: Sequence[Processor] = ()
    third_country: bool = False
    """Whether any of them works outside the EEA."""


def make_context(publisher: Publisher, circumstances: Circumstances) -> dict[str, Any]:
    """The context in force with these facts: JSON values only, ready to be spelt canonically."""
    return {
        "schema": "milepost-context/1",
        "controller": {
            "name": publisher.name,
            "address": publisher.postal_address,
            "contact": publisher.contact,
            "representative": circumstances.data_protection_officer or "none named",
            "role": "controller (GDPR Art. 4(7))",
        },
        "jurisdiction": circumstances.jurisdiction or NOT_STATED,
        "supervisory_authority": circumstances.supervisory_authority or NOT_STATED,
        "lawful_basis": "consent: GDPR Art. 6(1)(a) and Art. 7; Directive 2002/58/EC Art. 13(1)",
        "collection_method": "a form with unticked boxes, then a confirmation mail whose link opens a page with a "
        "button (double opt-in)",
        "processing_method": "mail is sent by software; no profiling, no automated decisions (GDPR Art. 22)",
        "profiling": "none",
        "personal_data": [
            "e-mail address",
            "language, chosen topics and pause",
            "first name, if given",
            "network address and browser at the moments of consent, as evidence only",
        ],
        "withdrawal_method": "one click in the mail program, a link and a button in every mail, the control page, or a "
        f"message to {publisher.contact}; free, without login or reason",
        "rights": list(RIGHTS),
        "recipients": [describe_to_reader(processor) for processor in circumstances.processors],
        "third_country": circumstances.third_country,
        "storage_location": circumstances.storage_location or NOT_STATED,
        "retention": {
            "rule": RETENTION_RULE,
            "says": "while the consent lives, then three years to the end of the year; shredded earlier on erasure",
        },
        "validity": {"review_after_months": REVIEW_MONTHS, "ends_after_months": VALID_MONTHS},
        "service": publisher.public_url,
    }
