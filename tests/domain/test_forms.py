from dataclasses import replace

import pytest

from service.domain.forms import (
    FormStatement,
    FormTopic,
    FormView,
    Problem,
    SignupRequest,
    Submission,
    check_submission,
)
from service.domain.words import Language, Purpose

HUB = FormView(
    id=7,
    slug="hub",
    list_id=3,
    list_name="Training Hub",
    language=Language.DE,
    statements=(FormStatement(11, Purpose.DIGEST, "…"), FormStatement(12, Purpose.OFFERS, "…")),
    topics=(FormTopic(21, "running", "Laufen"), FormTopic(22, "gear", "Ausrüstung")),
    asks_topics=True,
    asks_first_name=True,
    notice_id=5,
)
ONE_BOX = replace(HUB, statements=HUB.statements[:1], asks_topics=False, asks_first_name=False)
GOOD = Submission(form="hub", language="de", address="Anna@fjell.no", purposes=("digest",), topics=("gear",))


def test_a_request_holds_exactly_what_was_shown_and_ticked():
    request = check_submission(replace(GOOD, first_name=" Anna "), HUB)
    assert isinstance(request, SignupRequest)
    assert request.address.dedupe_key == "anna@fjell.no"
    assert (request.first_name, request.language, request.list_id) == ("Anna", Language.DE, 3)
    assert (request.purposes, request.statement_ids) == ((Purpose.DIGEST,), (11,))
    assert (request.topic_ids, request.form_id, request.notice_id) == ((22,), 7, 5)


def test_both_purposes_in_the_order_of_the_form():
    request = check_submission(replace(GOOD, purposes=("offers", "digest", "offers")), HUB)
    assert isinstance(request, SignupRequest)
    assert (request.purposes, request.statement_ids) == ((Purpose.DIGEST, Purpose.OFFERS), (11, 12))


def test_no_topic_means_all_of_them():
    request = check_submission(replace(GOOD, topics=()), HUB)
    assert isinstance(request, SignupRequest)
    assert request.topic_ids == (21, 22)


def test_a_form_that_does_not_ask_says_nothing_about_topics():
    request = check_submission(replace(GOOD, topics=()), ONE_BOX)
    assert isinstance(request, SignupRequest)
    assert request.topic_ids == ()


@pytest.mark.parametrize(
    ("changes", "form", "problems"),
    [
        ({"address": ""}, HUB, [("address", "address_missing")]),
        ({"address": "anna"}, HUB, [("address", "address_incomplete")]),
        ({"purposes": ()}, HUB, [("purposes", "purpose_missing")]),
        ({"purposes": (), "topics": ()}, ONE_BOX, [("purposes", "purpose_missing_one_box")]),
        ({"purposes": ("digest", "spam")}, HUB, [("purposes", "purpose_unknown")]),
        ({"purposes": ("offers",), "topics": ()}, ONE_BOX, [("purposes", "purpose_unknown")]),
        ({"topics": ("gear", "chess")}, HUB, [("topics", "topic_unknown")]),
        ({"topics": ("gear",)}, ONE_BOX, [("topics", "not_asked")]),
        ({"first_name": "Anna", "topics": ()}, ONE_BOX, [("first_name", "not_asked")]),
        ({"first_name": "x" * 81}, HUB, [("first_name", "first_name_too_long")]),
        ({"first_name": "x" * 10_000}, HUB, [("first_name", "first_name_too_long")]),
        (
            {"address": "x", "first_name": "x" * 81, "purposes": (), "topics": ("chess",)},
            HUB,
            [
                ("address", "address_incomplete"),
                ("first_name", "first_name_too_long"),
                ("purposes", "purpose_missing"),
                ("topics", "topic_unknown"),
            ],
        ),
    ],
)
def test_everything_that_is_wrong_at_once(changes, form, problems):
    found = check_submission(replace(GOOD, **changes), form)
    assert isinstance(found, list)
    assert [(p.field, p.code) for p in found] == problems


@pytest.mark.parametrize("field", ["address", "first_name", "purposes", "topics", "form", "language", "token", "page"])
@pytest.mark.parametrize("character", ["\r", "\n", "\x00", "\x85", "\u2028"])
def test_header_injection_in_any_field(field, character):
    spoilt = f"x{character}y"
    sent = replace(GOOD, **{field: (spoilt,) if field in ("purposes", "topics") else spoilt})
    assert check_submission(sent, HUB) == [Problem(field, "control_characters")]
