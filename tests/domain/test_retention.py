"""Rules of retention: how far each reaches, how often it is due, and that the file and the code know the same ones."""

from datetime import UTC, datetime, timedelta

import pytest

from service.domain.contexts import RETENTION_RULE
from service.domain.retention import parse_retention
from service.store.retention import RULES
from service.texts import templates_dir

FILE = (templates_dir() / "privacy" / "retention.toml").read_text(encoding="utf-8")
RETENTION = parse_retention(FILE)
BY_ID = {rule.id: rule for rule in RETENTION.rules}
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.requirement("D-19")
def test_every_rule_is_enforced_and_everything_enforced_is_a_rule():
    assert set(BY_ID) == RULES
    assert RETENTION_RULE in BY_ID, "what a consent record names"


@pytest.mark.requirement("D-19")
def test_the_defaults_are_those_of_the_standard():
    says = {rule: BY_ID[rule].says().partition(" after")[0] for rule in BY_ID}
    assert says["consent_proof"] == "3 years to the end of the year"
    assert says["send_log"] == "90 days"
    assert says["relay_texts"] == "30 days"
    assert says["unconfirmed_signups"] == "7 days"
    assert says["signup_counters"] == "30 days"


def test_a_rule_reaches_a_round_further_so_that_nothing_outlives_it():
    rule = BY_ID["unconfirmed_signups"]
    assert rule.cutoff(NOW) == NOW - timedelta(days=7) + timedelta(hours=1)


@pytest.mark.parametrize(
    ("ended", "now", "due"),
    [
        ("2022-12-31T23:59:59", "2026-01-01T00:00:00", True),
        ("2022-01-01T00:00:00", "2025-12-31T23:59:59", False),
        ("2023-01-01T00:00:00", "2026-12-31T23:59:59", False),
    ],
)
def test_three_years_to_the_end_of_the_year(ended, now, due):
    cutoff = BY_ID["consent_proof"].cutoff(datetime.fromisoformat(now))
    assert (datetime.fromisoformat(ended) < cutoff) is due


def test_a_round_is_due_when_its_hours_are_over():
    rule = BY_ID["send_log"]
    assert rule.is_due(None, NOW)
    assert not rule.is_due(NOW - timedelta(hours=23), NOW)
    assert rule.is_due(NOW - timedelta(hours=23, minutes=40), NOW)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda text: text.replace("keep_days = 90\n", ""), "send_log needs either"),
        (lambda text: text.replace("keep_days = 90", "keep_days = 90\nkeep_years_to_year_end = 1"), "send_log needs"),
        (lambda text: text.replace("keep_days = 90", "days = 90"), "send_log has an unknown field days"),
        (lambda text: text.replace('then = "deleted"\n', "", 1), "signup_counters"),
    ],
)
def test_a_rule_that_says_too_little_is_refused(spoil, why):
    with pytest.raises(ValueError, match=why):
        parse_retention(spoil(FILE))
