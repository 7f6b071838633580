"""What becomes of a row given what is known here, and sums that add up (E-11, invariant 8)."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.addresses import parse_address
from service.domain.import_rows import RowRead
from service.domain.imports import (
    AFFIRMATION,
    DAY_LIMIT,
    POLICY,
    STRANGER,
    Choices,
    Known,
    Tally,
    check_affirmed,
    check_slice,
    decide_row,
    has_acted,
)
from service.domain.words import ImportReason, ImportVerdict, SuppressionReason
from service.errors import ServiceError

ANNA = parse_address("anna@fjell.no")
EVIDENCE = RowRead(ImportVerdict.MAILABLE, ImportReason.EVIDENCE, ANNA)
UNDATED = RowRead(ImportVerdict.NEEDS_CONFIRMING, ImportReason.NO_DATE, ANNA)
LEFT = RowRead(ImportVerdict.SUPPRESSED, ImportReason.UNSUBSCRIBED, ANNA, SuppressionReason.UNSUBSCRIBE_ALL)
COMPLAINED = RowRead(ImportVerdict.SUPPRESSED, ImportReason.COMPLAINED, ANNA, SuppressionReason.COMPLAINT)
UNREADABLE = RowRead(ImportVerdict.UNREADABLE, ImportReason.ADDRESS_INVALID)
READS = [EVIDENCE, UNDATED, LEFT, COMPLAINED, UNREADABLE]

known = st.builds(
    Known,
    subscriber_id=st.none() | st.just(7),
    orders=st.frozensets(st.sampled_from(SuppressionReason)),
    active_here=st.booleans(),
    waiting_here=st.booleans(),
    withdrawn_here=st.booleans(),
    active_elsewhere=st.booleans(),
    withdrawn_elsewhere=st.booleans(),
    asked_before=st.booleans(),
)


@pytest.mark.parametrize("read", [EVIDENCE, UNDATED])
@pytest.mark.parametrize(
    ("here", "verdict", "reason"),
    [
        (Known(orders=frozenset({SuppressionReason.ERASED})), ImportVerdict.SUPPRESSED, ImportReason.ERASED),
        (Known(orders=frozenset({SuppressionReason.MANUAL})), ImportVerdict.SUPPRESSED, ImportReason.SUPPRESSED_HERE),
        (Known(7, active_here=True), ImportVerdict.UNCHANGED, ImportReason.READER_HERE),
        (Known(7, withdrawn_here=True), ImportVerdict.SUPPRESSED, ImportReason.WITHDRAWN_HERE),
        (Known(7, withdrawn_elsewhere=True), ImportVerdict.SUPPRESSED, ImportReason.WITHDRAWN_HERE),
        (Known(7, waiting_here=True, withdrawn_here=True), ImportVerdict.SUPPRESSED, ImportReason.WITHDRAWN_HERE),
        (Known(7, waiting_here=True), ImportVerdict.UNCHANGED, ImportReason.WAITING_HERE),
        (Known(asked_before=True), ImportVerdict.SUPPRESSED, ImportReason.ASKED_BEFORE),
    ],
)
def test_what_is_known_here_goes_before_what_a_file_says(
    read: RowRead, here: Known, verdict: ImportVerdict, reason: ImportReason
) -> None:
    assert decide_row(read, here) == (verdict, reason)


def test_a_reader_of_another_list_may_join_this_one() -> None:
    assert decide_row(EVIDENCE, Known(7, active_elsewhere=True, withdrawn_elsewhere=True))[0] is ImportVerdict.MAILABLE


@pytest.mark.requirement("E-11")
@given(st.sampled_from(READS), known)
def test_nobody_protected_is_ever_mailable_or_asked(read: RowRead, here: Known) -> None:
    verdict, reason = decide_row(read, here)
    if verdict in (ImportVerdict.MAILABLE, ImportVerdict.NEEDS_CONFIRMING):
        assert (verdict, reason) == (read.verdict, read.reason)
        assert not here.orders
        assert not any((here.withdrawn_here, here.asked_before, here.active_here, here.waiting_here))
    if read.order is not None:
        assert verdict is ImportVerdict.SUPPRESSED, "an opt-out counts for readers here too"


rows = st.lists(st.tuples(st.sampled_from(READS), st.sampled_from([b"a", b"b", b"c"]), known), max_size=30)


@pytest.mark.requirement("E-11")
@given(rows)
def test_each_row_is_in_one_bucket_and_an_opt_out_in_any_line_wins(rows: list[tuple[RowRead, bytes, Known]]) -> None:
    tally = Tally()
    orders: dict[bytes, set[SuppressionReason]] = {}
    decided: dict[int, tuple[bytes, ImportVerdict]] = {}
    for line, (read, key, here) in enumerate(rows, 2):
        fingerprint = key if read.address else None
        verdict, reason = decide_row(read, here)
        tally.add(line, fingerprint, read, verdict, reason)
        if read.order:
            orders.setdefault(key, set()).add(read.order)
        if verdict is not ImportVerdict.UNREADABLE:
            decided[line] = (key, verdict)
    assert tally.lines == len(rows) == sum(tally.total(verdict) for verdict in ImportVerdict)
    assert sum(sum(reasons.values()) for reasons in tally.reasons().values()) == len(rows)
    assert tally.orders.keys() == orders.keys()
    for key, found in orders.items():
        strictest = SuppressionReason.COMPLAINT if SuppressionReason.COMPLAINT in found else next(iter(found))
        assert tally.orders[key][0] is strictest
    standing = Counter(key for line, (key, _) in decided.items() if line not in tally.duplicates)
    assert all(number == 1 for number in standing.values()), "one line decides about an address"
    for line, (key, verdict) in decided.items():
        if line not in tally.duplicates and key in orders:
            assert verdict is ImportVerdict.SUPPRESSED


def test_of_two_consents_the_one_with_evidence_counts() -> None:
    tally = Tally()
    for line, read in ((2, UNDATED), (3, EVIDENCE), (4, EVIDENCE)):
        tally.add(line, b"a", read, *decide_row(read, STRANGER))
    assert tally.duplicates == [2, 4]
    assert tally.reasons()["mailable"] == {"evidence": 1}
    assert tally.examples[ImportReason.EVIDENCE] == [3]
    assert tally.examples[ImportReason.NO_DATE] == []


@pytest.mark.requirement("E-11")
@pytest.mark.parametrize("words", ["", "yes", AFFIRMATION[:-1], AFFIRMATION.replace("none", "some")])
def test_nothing_is_imported_without_the_affirmation(words: str) -> None:
    with pytest.raises(ServiceError, match="bought, rented") as refused:
        check_affirmed(words)
    assert AFFIRMATION in refused.value.message
    assert "Never addresses that were bought, rented" in POLICY
    check_affirmed(f"  {AFFIRMATION}\n")


@pytest.mark.requirement("E-11")
def test_a_day_lets_in_only_so_many() -> None:
    check_slice(500, DAY_LIMIT - 500, no_daily_limit=False)
    with pytest.raises(ServiceError, match="at most 499"):
        check_slice(500, DAY_LIMIT - 499, no_daily_limit=False)
    check_slice(50_000, DAY_LIMIT, no_daily_limit=True)


def test_what_counts_as_an_act_of_the_readers_own() -> None:
    as_brought = Choices(plain=True, language="en", topic_ids=frozenset({1}))
    assert not has_acted(events=False, brought=as_brought, now=as_brought)
    assert has_acted(events=True, brought=as_brought, now=as_brought)
    assert has_acted(events=False, brought=as_brought, now=Choices(False, "en", frozenset({1})))
    assert has_acted(events=False, brought=as_brought, now=Choices(True, "de", frozenset({1})))
    assert has_acted(events=False, brought=as_brought, now=Choices(True, "en", frozenset()))
    assert not has_acted(events=False, brought=None, now=Choices(False, "de", frozenset()))


def test_words_that_look_like_another_column_are_not_shown() -> None:
    tally = Tally()
    for line, status in enumerate(["frozen", "frozen", "anna@fjell.no", "x" * 50], 2):
        read = RowRead(ImportVerdict.UNREADABLE, ImportReason.STATUS_UNKNOWN, status=status)
        tally.add(line, None, read, read.verdict, read.reason)
    assert tally.shown_statuses() == ["frozen"]
    assert tally.unknown_statuses.total() == 4
