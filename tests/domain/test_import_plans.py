"""What an operator says about a file is checked against its header, before any row is read."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.import_plans import Plan, make_rules, spell_rules
from service.domain.import_rows import Field, Standing
from service.domain.words import Purpose
from service.errors import ServiceError

HEADER = ("Email Address", "Opt-in time", "State", "Note", "Note (column 5)")
PLAN = Plan(
    list_slug="hub",
    columns={Field.ADDRESS: "email address", Field.CONSENT_AT: "OPT_IN_TIME", Field.STATUS: "State"},
    statuses={"Abgemeldet": Standing.UNSUBSCRIBED},
    purposes=(Purpose.DIGEST,),
)


def rules(**changes: Any):
    return make_rules(replace(PLAN, **changes), HEADER, {"race-day": 5}, reserved=False)


def test_columns_are_found_however_they_are_cased() -> None:
    made = rules()
    assert made.columns[Field.ADDRESS] == "Email Address"
    assert made.columns[Field.CONSENT_AT] == "Opt-in time"
    assert made.statuses["abgemeldet"] is Standing.UNSUBSCRIBED
    assert made.statuses["unsubscribed"] is Standing.UNSUBSCRIBED
    assert made.topics == {"race day": 5}
    assert spell_rules(made)["date_format"] == "ISO 8601"


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"columns": PLAN.columns | {Field.LANGUAGE: "Lang"}}, "map", "no column 'Lang'.*Email Address, Opt-in time"),
        ({"columns": PLAN.columns | {Field.LANGUAGE: "Note"}}, "map", "several columns"),
        ({"columns": {Field.STATUS: "State"}}, "map", "--map address="),
        ({"columns": {Field.ADDRESS: "Email Address"}}, "status", "--all-are subscribed"),
        ({"all_are": Standing.SUBSCRIBED}, "all_are", "not both"),
        ({"purposes": ()}, "purpose", "--purpose digest"),
        ({"date_format": "%m/%Y"}, "date_format", "no whole date"),
        ({"date_format": "%d.%m."}, "date_format", "no whole date"),
        ({"date_format": "%d.%m.%Y %I:%M"}, "date_format", "add %p, or use %H"),
        ({"date_format": "%d.%m.%Y %Q"}, "date_format", "no whole date"),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(ServiceError, match=says) as refused:
        rules(**changes)
    assert refused.value.field == field
    assert "Nothing was imported" in refused.value.message


def test_a_file_of_opt_outs_needs_no_purpose() -> None:
    columns = {Field.ADDRESS: "Email Address"}
    assert rules(columns=columns, all_are=Standing.UNSUBSCRIBED, purposes=()).all_are is Standing.UNSUBSCRIBED


@pytest.mark.parametrize("text", ["%d.%m.%Y", "%m/%d/%y", "%d %b %Y %H:%M", "%m/%d/%Y %I:%M %p", "%Y%m%d"])
def test_whole_dates(text: str) -> None:
    assert rules(date_format=text).date_format == text
