"""A proof of consent as a document: raw evidence, and what follows from it in the words of the law.

The evidence is the subject's events as they were hashed, with the exhibits that they name. Everything else in the
document (`describe_subject`) is computed from that alone, so that whoever holds the file can compute it again
(`service/domain/proof_checks.py`). Values are JSON: strings, whole numbers, booleans, None, lists and objects.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from service.domain.consent_records import make_record, months_after
from service.domain.subscriptions import state_after
from service.domain.words import Channel, ConsentState, Purpose, SubscriptionState

FORMAT = "milepost-consent-proof/2"
NOT_APPLICABLE = "not applicable: "
SHREDDED = "shredded: the profile was erased, or its time was over, and with it went the key to this"
WITHHELD = "withheld: this event belongs to another address than the one that was asked for"
NOT_RECORDED = "not recorded"
UNCONFIRMED = "not recorded: what a form sent is kept with the press of the button that confirms it"

FIELD_GROUPS = {
    1: "Schema and ids",
    2: "Who",
    3: "Controller",
    4: "Purposes, each with a state of its own",
    5: "Lawful basis",
    6: "Words agreed to",
    7: "Privacy notice shown",
    8: "Form",
    9: "When",
    10: "Where the request came from",
    11: "Confirmation mail",
    12: "Confirmation",
    13: "State and validity",
    14: "Withdrawal",
    15: "Recipients and storage",
    16: "Law and retention",
    17: "Soft opt-in",
    18: "Import",
    19: "Actor and chain",
}
"""The fields of standards D1, by their numbers."""

Event = Mapping[str, Any]
"""{"record": as hashed, "hash": hex, "personal": object or None, …}"""
_GIVES = (ConsentState.GIVEN, ConsentState.REAFFIRMED)
_TAKES = (ConsentState.WITHDRAWN, ConsentState.INVALIDATED)


def describe_subject(subject: Mapping[str, Any], exhibits: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One consent for each list and purpose that the events are about, in the order in which they were first named.

    Of `subject` its "events", "erased", and "left": when the reader left the address that was asked for, or None.
    """
    named = ((event["record"]["list"], event["record"]["purpose"]) for event in subject["events"])
    return [_Consent(subject, exhibits, list_id, purpose).describe() for list_id, purpose in dict.fromkeys(named)]


class _Consent:
    """The consent of one subject for one list and purpose."""

    def __init__(self, subject: Mapping[str, Any], exhibits: Mapping[str, Any], list_id: int, purpose: str) -> None:
        self.list_id, self.purpose, self.exhibits = list_id, purpose, exhibits
        self.left: str | None = subject["left"]
        self.unread = SHREDDED if subject["erased"] else WITHHELD
        self.all: Sequence[Event] = subject["events"]
        events = self.all
        self.events = [e for e in events if (e["record"]["list"], e["record"]["purpose"]) == (list_id, purpose)]
        self.last = self.events[-1]
        given = [e for e in self.events if e["record"]["state"] in _GIVES]
        self.decisive = given[-1] if given else self.last
        """The newest event that gives consent; without one, the newest."""
        signup = self.decisive["record"]["signup"]
        of_signup = [e for e in self.events if e["record"]["signup"] == signup]
        self.request = next((e for e in of_signup if e["record"]["state"] == ConsentState.REQUESTED), None)
        self.form_button = self._button_of(signup)
        self.button = self._newest_button() or self.form_button
        """What confirmed from the mailbox in question; after a change of address not the one that the form led to."""
        self.sent: Mapping[str, Any] = ((self.form_button or {}).get("personal") or {}).get("request", {})
        """By the form; it stands with the press of the button that it led to."""
        self.context: Mapping[str, Any] = json.loads(
            exhibits["contexts"].get(self.decisive["record"]["context"] or "", "{}")
        )

    def describe(self) -> dict[str, Any]:
        record = self.decisive["record"]
        fields = {str(number): {"name": name, "value": getattr(self, f"_{number}")()} for number, name in NAMED}
        return {
            "list": self.list_id,
            "list_name": self.exhibits["lists"][str(self.list_id)],
            "purpose": self.purpose,
            "state": self.last["record"]["state"],
            "language": self._language(),
            "fields": fields,
            "record": make_record(self.events, record, self.context, self._statement()),
        }

    def _1(self) -> dict[str, Any]:
        record = self.decisive["record"]
        return {
            "schema_version": record["v"],
            "record_id": record["record"],
            "receipt_id": record["record"]
            if record["state"] in _GIVES
            else NOT_APPLICABLE + "a receipt is made when consent is given",
        }

    def _2(self) -> dict[str, Any]:
        record = self.decisive["record"]
        return {
            "subject_id": record["subject"],
            "address_as_entered": self._said(self.button or self.decisive, "address_as_entered"),
            "address": self._said(self.decisive, "address"),
            "address_before": self._before(),
            "address_fingerprint": record["address_hmac"] or NOT_APPLICABLE + "a mere request leaves none",
            "fingerprint_version": record["address_version"] or NOT_APPLICABLE + "as above",
        }

    def _3(self) -> dict[str, Any]:
        return dict(self.context.get("controller", {"name": NOT_RECORDED}))

    def _4(self) -> dict[str, str]:
        states: dict[str, str] = {purpose.value: "not asked" for purpose in Purpose}
        states |= {
            e["record"]["purpose"]: e["record"]["state"] for e in self.all if e["record"]["list"] == self.list_id
        }
        return states | dict.fromkeys(("open_tracking", "click_tracking"), "not asked: it is not done")

    def _5(self) -> dict[str, Any]:
        return {"basis": self.decisive["record"]["basis"], "law": self.context.get("lawful_basis", NOT_RECORDED)}

    def _6(self) -> dict[str, Any] | str:
        statement = self._statement()
        if statement is None:
            return self._imported_words() or NOT_RECORDED + ": the event names no statement"
        return {
            "text": statement["body"],
            "sha256": self.decisive["record"]["statement"],
            "language": statement["language"],
            "box_before": self.sent.get("state_before", "unticked, as the form's snapshot shows"),
        }

    def _imported_words(self) -> dict[str, Any] | None:
        """As the other system's file has them: not words that were published here."""
        imported = self._imported()
        words = imported.get("read", {}).get("statement_text")
        return {"text": words, "origin": f"import from {imported['source_system']}"} if words else None

    def _imported(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (self.decisive["personal"] or {}).get("import", {})
        return found

    def _7(self) -> dict[str, Any] | str:
        sha = self.decisive["record"]["notice"]
        notice = self.exhibits["notices"].get(sha or "")
        if notice is None:
            return NOT_RECORDED + ": the event names no notice"
        return {
            "version": sha,
            "language": notice["language"],
            "published_at": notice["published_at"],
            "full_copy": f"exhibits.notices.{sha}",
        }

    def _8(self) -> dict[str, Any] | str:
        sha = self.decisive["record"]["form"]
        form = self.exhibits["forms"].get(sha or "")
        if form is None:
            return NOT_APPLICABLE + "no form was used"
        page = self._sent("page_url")
        language = self._language()
        return {
            "form": form["slug"],
            "version": sha,
            "snapshot": form["definition"].get("looks", {}).get(language, NOT_RECORDED),
            "page": page,
            "referrer_host": urlsplit(page).hostname or page,
        }

    def _9(self) -> dict[str, Any]:
        asked = self.request["record"]["occurred"] if self.request else NOT_RECORDED
        record = self.decisive["record"]
        return {
            "requested_at": asked,
            "collected_at": record["occurred"],
            "recorded_at": record["recorded"],
            "clock": "the server's, UTC",
        }

    def _10(self) -> dict[str, Any]:
        return {"ip": self._sent("ip"), "user_agent": self._sent("user_agent")}

    def _11(self) -> dict[str, Any] | str:
        if self.button is None:
            return NOT_APPLICABLE + "this consent was not given by a confirmation mail"
        if self.button["personal"] is None:
            return self.unread
        mail = self.button["personal"].get("confirmation_mail")
        if mail is None:
            return NOT_RECORDED + ": the mail's delivery was not found"
        return {name: NOT_RECORDED if value is None else value for name, value in mail.items()}

    def _12(self) -> dict[str, Any] | str:
        if self.button is None:
            return NOT_APPLICABLE + "this consent was not given by a confirmation mail"
        post = (self.button["personal"] or {}).get("post", {})
        return {
            "at": self.button["record"]["occurred"],
            "for": self.button["record"]["channel"],
            "method": post.get("method", "POST"),
            "token": post.get("token") or f"sign-up {self.button['record']['signup']}",
            "ip": self._said(self.button, "ip"),
            "user_agent": self._said(self.button, "user_agent"),
            "suspect_scanner": self.button["record"]["scanner"],
        }

    def _13(self) -> dict[str, Any]:
        given_at = self.decisive["record"]["occurred"]
        months = self.context.get("validity", {})
        in_force = self._state() is SubscriptionState.ACTIVE and self.left is None
        valid = "until withdrawn" if in_force else "no longer in force, or not yet"
        return {
            "state": self.last["record"]["state"],
            "since": self.last["record"]["occurred"],
            "in_force": in_force,
            "valid": f"under this address until {self.left}, when the reader left it" if self.left else valid,
            "review_at": months_after(given_at, months.get("review_after_months", 24)),
            "ends_at": months_after(given_at, months.get("ends_after_months", 36)),
        }

    def _14(self) -> dict[str, Any] | str:
        withdrawn = [e for e in self.events if e["record"]["state"] in _TAKES]
        if not withdrawn:
            return NOT_APPLICABLE + "not withdrawn"
        record = withdrawn[-1]["record"]
        mail = record["delivery"]
        after = [e["record"] for e in self.events if e["record"]["seq"] > record["seq"]]
        again = [later for later in after if later["state"] in _GIVES]
        return {
            "at": record["occurred"],
            "channel": record["channel"],
            "scope": f"purpose {record['purpose']} of list {record['list']}",
            "mail": f"delivery {mail}" if mail else NOT_APPLICABLE + "no mail carried the link",
            "still_in_force": not again,
            "given_again_at": again[-1]["occurred"] if again else NOT_APPLICABLE + "not given again",
            "given_again_by": again[-1]["channel"] if again else NOT_APPLICABLE + "as above",
        }

    def _15(self) -> dict[str, Any]:
        return {
            "recipients": self.context.get("recipients") or "none: no processor was registered",
            "third_country": self.context.get("third_country", NOT_RECORDED),
            "storage_location": self.context.get("storage_location", NOT_RECORDED),
        }

    def _16(self) -> dict[str, Any]:
        return {
            "jurisdiction": self.context.get("jurisdiction", NOT_RECORDED),
            "supervisory_authority": self.context.get("supervisory_authority", NOT_RECORDED),
            "retention": self.context.get("retention", NOT_RECORDED),
        }

    def _17(self) -> str:
        return NOT_APPLICABLE + "nothing is sent on a soft opt-in; the basis is consent"

    def _18(self) -> dict[str, Any] | str:
        imported = next((e for e in self.events if e["record"]["channel"] == Channel.IMPORT), None)
        if imported is None:
            return NOT_APPLICABLE + "not imported"
        if imported["personal"] is None:
            return self.unread
        # Of whoever was asked, the row itself stands with the press of the button.
        answer = self._button_of(imported["record"]["signup"])
        said = imported["personal"] | ((answer["personal"] or {}) if answer else {})
        evidence = {name: said[name] for name in ("address_as_entered", "import") if name in said}
        return {"actor": imported["record"]["actor"], "at": imported["record"]["recorded"], **evidence}

    def _19(self) -> dict[str, Any]:
        record = self.decisive["record"]
        return {"actor": record["actor"], "prev_hash": record["prev"], "hash": self.decisive["hash"]}

    def _statement(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.exhibits["statements"].get(self.decisive["record"]["statement"] or "")
        return found

    def _language(self) -> str:
        statement = self._statement()
        if statement:
            return str(statement["language"])
        return str(self._imported().get("read", {}).get("language", NOT_RECORDED))

    def _button_of(self, signup: int | None) -> Event | None:
        """The press of the button that this sign-up led to."""
        pressed = (e for e in self.events if e["record"]["channel"] == Channel.CONFIRMATION)
        return next((e for e in pressed if e["record"]["signup"] == signup), None)

    def _newest_button(self) -> Event | None:
        """The last press before the decisive event that said so from the mailbox of a new address."""
        pressed = [e for e in self.events if e["record"]["channel"] == Channel.ADDRESS_CHANGE]
        return next((e for e in reversed(pressed) if e["record"]["seq"] <= self.decisive["record"]["seq"]), None)

    def _state(self) -> SubscriptionState | None:
        """What follows from all the events."""
        state: SubscriptionState | None = None
        for event in self.events:
            state = state_after(ConsentState(event["record"]["state"]), state)
        return state

    def _before(self) -> str:
        """The address that the reader left for this one."""
        if self.button is None or self.button["record"]["channel"] != Channel.ADDRESS_CHANGE:
            return NOT_APPLICABLE + "the reader had no other address before"
        return self._said(self.button, "address_before")

    def _said(self, event: Event, name: str) -> str:
        """What an event says about the person, or why it says nothing."""
        if event["personal"] is None:
            return self.unread
        unsaid = UNCONFIRMED if event["record"]["state"] == ConsentState.REQUESTED else NOT_RECORDED
        return str(event["personal"].get(name) or unsaid)

    def _sent(self, name: str) -> str:
        """What the request says about the person, or why it says nothing. Without a button it is the decisive act."""
        if self.form_button is None or self.form_button["personal"] is None:
            return self._said(self.form_button or self.decisive, name)
        return str(self.sent.get(name) or NOT_RECORDED)


NAMED = tuple(FIELD_GROUPS.items())
