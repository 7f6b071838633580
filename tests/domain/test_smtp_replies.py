"""Real replies against the page of policy (C-06 … C-11): what is done, whom it concerns, who is suppressed."""

from itertools import product

import pytest

from service.domain.outcomes import Outcome, Phase
from service.domain.smtp_replies import SESSION, Fate, Scope, decide_fate

OK, RETRY, GIVE_UP, BACK, UNKNOWN = Fate.ACCEPTED, Fate.RETRY, Fate.GIVE_UP, Fate.GIVE_BACK, Fate.UNKNOWN
R, M, Y = Scope.RECIPIENT, Scope.MESSAGE, Scope.RELAY
P = Phase


def an_outcome(phase: Phase, code: int | None, enhanced: str | None = None, text: str = "") -> Outcome:
    return Outcome(1, phase, code, enhanced, text, "relay:25")


@pytest.mark.parametrize(
    ("phase", "code", "enhanced", "text", "fate", "scope", "suppress"),
    [
        (P.EOM, 250, "2.0.0", "Ok: queued as 4F2", OK, M, False),
        (P.EOM, 250, None, "OK", OK, M, False),
        # Dead addresses: refused for good, and not mailed again (C-14).
        (P.RCPT, 550, "5.1.1", "The email account that you tried to reach does not exist.", GIVE_UP, R, True),
        (P.RCPT, 550, "5.1.2", "Bad destination system address", GIVE_UP, R, True),
        (P.RCPT, 553, "5.1.3", "The recipient address is not a valid RFC 5321 address.", GIVE_UP, R, True),
        (P.RCPT, 551, "5.1.6", "Mailbox has moved", GIVE_UP, R, True),
        (P.RCPT, 550, None, "No such user here", GIVE_UP, R, True),
        (P.RCPT, 550, None, "Requested action not taken: mailbox unavailable", GIVE_UP, R, True),
        (P.RCPT, 550, None, "Recipient address rejected: User unknown in local recipient table", GIVE_UP, R, True),
        (P.RCPT, 551, None, "User not local", GIVE_UP, R, True),
        (P.EOM, 550, "5.1.1", "user unknown", GIVE_UP, R, True),
        # Policy, reputation and content never suppress people (C-09).
        (P.RCPT, 550, "5.7.1", "Our system has detected that this message is likely unsolicited", GIVE_UP, R, False),
        (P.RCPT, 550, None, "Blocked by our spam policy", GIVE_UP, R, False),
        (P.RCPT, 550, None, "5-listed at zen.spamhaus.org", GIVE_UP, R, False),
        (P.RCPT, 554, None, "Message refused", GIVE_UP, R, False),
        (P.EOM, 550, "5.7.515", "Access denied, sending domain does not meet the required level", GIVE_UP, M, False),
        (P.EOM, 554, "5.6.0", "Message contains invalid header", GIVE_UP, M, False),
        (P.EOM, 552, "5.3.4", "Message header size exceeds limit", GIVE_UP, M, False),
        (P.EOM, 552, "5.2.2", "The inbox is out of storage space", GIVE_UP, R, False),
        (P.RCPT, 550, "5.2.1", "The account is disabled", GIVE_UP, R, False),
        (P.MAIL, 550, "5.1.1", "Sender rejected", GIVE_UP, M, False),
        (P.MAIL, 553, "5.1.8", "Domain of sender address does not exist", GIVE_UP, M, False),
        (P.DATA, 554, None, "No valid recipients", GIVE_UP, M, False),
        (P.EOM, 550, None, "mailbox unavailable", GIVE_UP, M, False),
        # RFC 5321 §4.5.3.1.10: a bare 552 is temporary, one with an enhanced code is not.
        (P.RCPT, 552, None, "Too many recipients", RETRY, R, False),
        (P.EOM, 552, None, "Exceeded storage allocation", RETRY, M, False),
        # Temporary.
        (P.RCPT, 450, "4.2.1", "The user is receiving mail too quickly", RETRY, R, False),
        (P.RCPT, 451, "4.7.1", "Greylisted, try again", RETRY, R, False),
        (P.RCPT, 450, "4.1.1", "unverified address", RETRY, R, False),
        (P.EOM, 452, "4.2.2", "mailbox full", RETRY, R, False),
        (P.EOM, 451, "4.3.0", "Try again later", RETRY, M, False),
        (P.MAIL, 452, "4.3.1", "Insufficient system storage", RETRY, M, False),
        # Answers to something else.
        (P.DATA, 250, None, "Ok", RETRY, M, False),
        (P.RCPT, 354, None, "End data with", RETRY, R, False),
        # Lost before the final dot: not taken. Lost after it: nobody knows.
        (P.MAIL, None, None, "closed", RETRY, M, False),
        (P.DATA, None, None, "closed", RETRY, M, False),
        (P.EOM, None, None, "No answer", UNKNOWN, M, False),
        # The relay's own trouble is nobody's attempt (C-11).
        (P.CONNECT, None, None, "Connection refused", BACK, Y, False),
        (P.CONNECT, 554, None, "No SMTP service here", BACK, Y, False),
        (P.EHLO, 550, "5.7.1", "go away", BACK, Y, False),
        (P.TLS, None, None, "certificate verify failed", BACK, Y, False),
        (P.AUTH, 535, "5.7.8", "Authentication credentials invalid", BACK, Y, False),
        (P.MAIL, 530, "5.7.0", "Must issue a STARTTLS command first", BACK, Y, False),
        (P.RCPT, 421, "4.7.0", "Too many connections", BACK, Y, False),
        (P.EOM, 421, "4.3.2", "Service shutting down", BACK, Y, False),
        (P.RCPT, 554, "5.7.1", "[address]: Relay access denied", BACK, Y, False),
        (P.RCPT, 550, None, "relay not permitted", BACK, Y, False),
        (P.RCPT, 550, "5.7.54", "Unable to relay recipient in non-accepted domain", BACK, Y, False),
        (P.RCPT, 454, "4.7.1", "Relay access denied", RETRY, R, False),
    ],
)
def test_reply(
    phase: Phase, code: int | None, enhanced: str | None, text: str, fate: Fate, scope: Scope, suppress: bool
) -> None:
    verdict = decide_fate(an_outcome(phase, code, enhanced, text))
    assert (verdict.fate, verdict.scope, verdict.suppress) == (fate, scope, suppress)


CODES = (None, 211, 250, 354, 400, 421, 450, 451, 452, 454, 500, 503, 530, 535, 550, 551, 552, 553, 554)


@pytest.mark.parametrize(("phase", "code"), list(product(Phase, CODES)))
def test_every_reply_has_a_verdict_within_the_rules(phase: Phase, code: int | None) -> None:
    for enhanced in (None, "4.2.2", "5.1.1", "5.7.1"):
        verdict = decide_fate(an_outcome(phase, code, enhanced))
        assert (verdict.fate is Fate.ACCEPTED) == (phase is Phase.EOM and code is not None and 200 <= code < 300)
        assert (verdict.fate is Fate.UNKNOWN) == (phase is Phase.EOM and code is None)
        assert (verdict.fate is Fate.GIVE_BACK) == (verdict.scope is Scope.RELAY)
        if phase in SESSION:
            assert verdict.scope is Scope.RELAY
        if code is not None and code >= 500 and (code, enhanced) != (552, None):
            assert verdict.fate in (Fate.GIVE_UP, Fate.GIVE_BACK)  # C-08: never retried
        if verdict.suppress:
            assert verdict.fate is Fate.GIVE_UP
            assert verdict.scope is Scope.RECIPIENT
