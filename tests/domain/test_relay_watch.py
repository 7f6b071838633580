"""What a worker says of its relay: nothing at first, silence after seconds, a failure at once, and when it is over."""

from datetime import timedelta

from service.domain.deliveries import BEAT_EVERY, LONGEST_HOLD
from service.domain.outcomes import Outcome, Phase
from service.domain.relay_watch import FORGOTTEN_AFTER, SILENT_AFTER, RelayWatch, Trouble, TroubleKind, explain, remedy

REFUSED = Outcome(1, Phase.CONNECT, None, None, "connection refused", "mail.example:587")
CLOSED = Outcome(2, Phase.MAIL, 421, "4.3.2", "shutting down", "mail.example:587")


def test_silence_is_trouble_after_some_seconds_and_over_with_the_first_answer() -> None:
    watch = RelayWatch("mail.example:587")
    assert watch.trouble(0.0) is None
    watch.waiting(100.0, flying=True)
    watch.waiting(105.0, flying=True)
    assert watch.trouble(107.9) is None
    trouble = watch.trouble(108.0)
    assert trouble is not None
    assert (trouble.kind, trouble.phase, trouble.lasted) == (TroubleKind.SILENT, Phase.EOM, timedelta(seconds=8))
    watch.answered()
    assert watch.trouble(108.1) is None


def test_a_relay_that_never_lets_us_in_is_silent_too() -> None:
    watch = RelayWatch("mail.example:587")
    watch.waiting(0.0, flying=False)
    trouble = watch.trouble(12.0)
    assert trouble is not None
    assert trouble.phase is Phase.CONNECT
    assert "does not let us in" in explain(trouble.kind, trouble.relay, trouble.phase, trouble.code, trouble.text)


def test_what_it_says_is_trouble_at_once_and_its_beginning_is_kept() -> None:
    watch = RelayWatch("mail.example:587")
    watch.failed(REFUSED, 50.0)
    watch.idle()
    watch.failed(CLOSED, 60.0)
    trouble = watch.trouble(61.0)
    assert trouble is not None
    assert (trouble.kind, trouble.code, trouble.lasted) == (TroubleKind.REFUSING, 421, timedelta(seconds=11))
    assert explain(trouble.kind, trouble.relay, trouble.phase, trouble.code, trouble.text) == (
        "mail.example:587 cannot be used (mail: 421 shutting down)"
    )


def test_nothing_to_send_is_no_silence() -> None:
    watch = RelayWatch("mail.example:587")
    watch.waiting(0.0, flying=True)
    watch.idle()
    assert watch.trouble(1000.0) is None


def test_silence_is_seen_within_20_seconds_and_forgotten_later_than_the_next_try() -> None:
    assert timedelta(seconds=20) > SILENT_AFTER + BEAT_EVERY
    assert FORGOTTEN_AFTER > LONGEST_HOLD


def test_a_relay_that_another_stands_in_for_is_told_of_unless_neither_works() -> None:
    instead = Trouble(TroubleKind.REPLACED, "mail.example:587", Phase.CONNECT, None, "refused", timedelta(seconds=70))
    watch = RelayWatch("mail.example:587", lambda: instead)
    assert watch.trouble(0.0) is instead
    watch.waiting(100.0, flying=True)
    assert watch.trouble(101.0) is instead
    watch.failed(CLOSED, 102.0)
    trouble = watch.trouble(103.0)
    assert trouble is not None
    assert trouble.kind is TroubleKind.REFUSING
    watch.answered()
    assert watch.trouble(104.0) is instead
    said = explain(instead.kind, instead.relay, instead.phase, instead.code, instead.text)
    assert said == "mail.example:587 cannot be used (connect: refused); the second relay carries the mail"
    assert remedy(TroubleKind.REPLACED) != remedy(TroubleKind.REFUSING) == remedy(TroubleKind.SILENT)
