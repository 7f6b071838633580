"""One row of another system's file: what it says, and what is no evidence (E-11, D1 #18)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.import_rows import EARLIEST, STATUS_WORDS, Field, Rules, Standing, parse_time, read_row
from service.domain.words import ImportReason, ImportVerdict, Language, Purpose, SuppressionReason

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RULES = Rules(columns={name: name.value for name in Field}, topics={"running": 1, "course à pied": 1, "race day": 5})
GOOD = {
    "address": "Anna@Fjell.no",
    "status": "subscribed",
    "purpose": "digest",
    "consent_at": "2021-05-04T10:11:12+02:00",
    "consent_source": "form on the home page",
}


def read(rules: Rules = RULES, **cells: str):
    return read_row(GOOD | cells, rules, NOW)


def test_a_row_with_date_and_source_is_evidence() -> None:
    row = read(first_name="Anna", language="de-CH", topics="Running; race-day", consent_ip="203.0.113.7")
    assert (row.verdict, row.reason) == (ImportVerdict.MAILABLE, ImportReason.EVIDENCE)
    assert row.address is not None
    assert (row.address.address, row.entered) == ("Anna@fjell.no", "Anna@Fjell.no")
    assert row.given_at == datetime(2021, 5, 4, 8, 11, 12, tzinfo=UTC)
    assert (row.first_name, row.language, row.topic_ids) == ("Anna", Language.DE, (1, 5))
    assert (row.purposes, row.consent_ip, row.left_out) == ((Purpose.DIGEST,), "203.0.113.7", ())


@pytest.mark.requirement("E-11")
@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"consent_at": ""}, ImportReason.NO_DATE),
        ({"consent_at": "0000-00-00 00:00:00"}, ImportReason.DATE_UNREADABLE),
        ({"consent_at": "04/05/2021"}, ImportReason.DATE_UNREADABLE),
        ({"consent_at": "last spring"}, ImportReason.DATE_UNREADABLE),
        ({"consent_at": "1620123456"}, ImportReason.DATE_UNREADABLE),
        ({"consent_at": "2011-W05"}, ImportReason.DATE_UNREADABLE),
        ({"consent_at": "2011W055T10:11"}, ImportReason.DATE_UNREADABLE),
        ({"consent_at": "2011-05"}, ImportReason.DATE_UNREADABLE),
        ({"consent_at": "1970-01-01"}, ImportReason.DATE_TOO_OLD),
        ({"consent_at": "2026-03-03"}, ImportReason.DATE_IN_FUTURE),
        ({"consent_source": " \u00a0"}, ImportReason.NO_SOURCE),
        ({"consent_at": "", "created_at": "2021-05-04"}, ImportReason.NO_DATE),
        ({"consent_at": "", "confirmed_at": "soon"}, ImportReason.NO_DATE),
    ],
)
def test_what_is_no_evidence_needs_confirming(cells: dict[str, str], reason: ImportReason) -> None:
    row = read(**cells)
    assert (row.verdict, row.reason) == (ImportVerdict.NEEDS_CONFIRMING, reason)


def test_a_confirmation_there_is_evidence_by_itself() -> None:
    row = read(consent_at="", confirmed_at="2021-05-04 10:11:12 UTC")
    assert (row.verdict, row.reason) == (ImportVerdict.MAILABLE, ImportReason.CONFIRMED_THERE)
    assert row.given_at == datetime(2021, 5, 4, 10, 11, 12, tzinfo=UTC)


def test_an_operator_may_take_over_only_who_confirmed_there() -> None:
    strict = Rules(columns=RULES.columns, confirmed_only=True)
    assert read(strict).reason is ImportReason.NOT_CONFIRMED_THERE
    assert read(strict, confirmed_at="2021-05-05").verdict is ImportVerdict.MAILABLE


@pytest.mark.requirement("E-11")
@pytest.mark.parametrize(
    ("word", "order"),
    [
        ("unsubscribed", SuppressionReason.UNSUBSCRIBE_ALL),
        ("Inactive", SuppressionReason.UNSUBSCRIBE_ALL),
        ("opted-out", SuppressionReason.UNSUBSCRIBE_ALL),
        (" Hard_Bounce ", SuppressionReason.PERMANENT_BOUNCE),
        ("cleaned", SuppressionReason.PERMANENT_BOUNCE),
        ("SPAM COMPLAINT", SuppressionReason.COMPLAINT),
        ("blocklisted", SuppressionReason.IMPORTED),
        ("never_subscribed", SuppressionReason.IMPORTED),
        ("pending", None),
    ],
)
def test_who_must_not_be_mailed(word: str, order: SuppressionReason | None) -> None:
    row = read(status=word)
    assert (row.verdict, row.order) == (ImportVerdict.SUPPRESSED, order)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"address": ""}, ImportReason.ADDRESS_MISSING),
        ({"address": "anna at fjell.no"}, ImportReason.ADDRESS_INVALID),
        ({"address": "anna@localhost"}, ImportReason.ADDRESS_INVALID),
        ({"status": ""}, ImportReason.STATUS_MISSING),
        ({"status": "frozen"}, ImportReason.STATUS_UNKNOWN),
        ({"purpose": ""}, ImportReason.PURPOSE_MISSING),
        ({"purpose": "digest, shopping"}, ImportReason.PURPOSE_UNKNOWN),
    ],
)
def test_what_cannot_be_read_is_not_guessed(cells: dict[str, str], reason: ImportReason) -> None:
    row = read(**cells)
    assert (row.verdict, row.reason) == (ImportVerdict.UNREADABLE, reason)


def test_cells_that_are_not_understood_are_left_out_and_said() -> None:
    row = read(first_name="A\u202e", language="Klingon", topics="running, chess", consent_ip="home", confirmed_at="x")
    assert row.verdict is ImportVerdict.MAILABLE
    assert row.left_out == ("first_name", "language", "topics", "consent_ip", "confirmed_at")
    assert (row.first_name, row.language, row.topic_ids) == (None, Language.EN, ())


def test_other_words_and_formats_by_the_operators_rules() -> None:
    rules = Rules(
        columns=RULES.columns,
        statuses={**STATUS_WORDS, "abgemeldet": Standing.UNSUBSCRIBED, "yes": Standing.SUBSCRIBED},
        purposes=(Purpose.DIGEST, Purpose.OFFERS),
        date_format="%d.%m.%Y %H:%M",
        consent_source="desk at the shop",
    )
    row = read(rules, status="YES", purpose="", consent_at="04.05.2021 10:11", consent_source="")
    assert (row.verdict, row.purposes) == (ImportVerdict.MAILABLE, (Purpose.DIGEST, Purpose.OFFERS))
    assert row.given_at == datetime(2021, 5, 4, 10, 11, tzinfo=UTC)
    assert row.consent_source == "desk at the shop"
    assert read(rules, status="abgemeldet").order is SuppressionReason.UNSUBSCRIBE_ALL


def test_without_a_column_all_stand_alike() -> None:
    columns = {name: column for name, column in RULES.columns.items() if name is not Field.STATUS}
    assert read(Rules(columns=columns, all_are=Standing.BOUNCED)).order is SuppressionReason.PERMANENT_BOUNCE


@pytest.mark.requirement("D-17")
def test_an_import_spells_addresses_as_sign_ups_do() -> None:
    one, other = read(address="User@EXÄMPLE.de").address, read(address="user@xn--exmple-cua.de").address
    assert one is not None
    assert other is not None
    assert one.dedupe_key == other.dedupe_key


@pytest.mark.parametrize(
    "text", ["2021-05-04", "20210504", "20210504T101112Z", "2021-05-04 10:11", "2021-05-04T10:11:12.5+02:00"]
)
def test_whole_dates(text: str) -> None:
    found = parse_time(text, None)
    assert found is not None
    assert found.date().isoformat() == "2021-05-04"


words = st.text(max_size=30) | st.sampled_from([*STATUS_WORDS, "2021-05-04", "9999-12-31", "digest", "a@fjell.no"])


@pytest.mark.requirement("E-11")
@given(st.fixed_dictionaries({name.value: words for name in Field}), st.booleans())
def test_whatever_a_file_holds_nobody_is_mailable_without_evidence(cells: dict[str, str], strict: bool) -> None:
    row = read_row(cells, Rules(columns=RULES.columns, topics=RULES.topics, confirmed_only=strict), NOW)
    if row.verdict is ImportVerdict.MAILABLE:
        assert row.address is not None
        assert row.given_at is not None
        assert EARLIEST <= row.given_at <= NOW
        assert row.consent_source
        assert row.purposes
        assert row.order is None
        assert not strict or row.confirmed_at is not None
    if row.order is not None:
        assert row.verdict is ImportVerdict.SUPPRESSED


@given(st.text(max_size=40), st.none() | st.sampled_from(["%d.%m.%Y", "%Y-%m-%dT%H:%M:%S%z"]))
def test_any_text_is_a_time_or_none(text: str, date_format: str | None) -> None:
    found = parse_time(text, date_format)
    assert found is None or found.tzinfo is UTC
