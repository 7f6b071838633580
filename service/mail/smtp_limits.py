"""How long the wire waits for what, and how much it listens to. Read at use, so that tests may shorten them."""

from service.domain.outcomes import Phase

CONNECT_SECONDS = 30.0
"""Until TCP answers; RFC 5321 names none, and a relay of our own is near."""

REPLY_SECONDS = {Phase.DATA: 120.0, Phase.EOM: 600.0}
"""RFC 5321 §4.5.3.2.4, .6. A relay that gives up on us earlier closes the connection, so this is for silence only."""

BLOCK_SECONDS = 180.0
"""RFC 5321 §4.5.3.2.5: while the message is being written."""

OTHER_REPLY_SECONDS = 300.0
"""RFC 5321 §4.5.3.2.1 to .3: greeting, MAIL, RCPT."""

RECONNECT_SECONDS = 1.0
"""A message that has been pulled waits no longer for another connection: an unsubscribe counts within 5 s."""

GOODBYE_SECONDS = 2.0
"""After QUIT nothing is at stake any more."""

IDLE_SECONDS = 30.0
"""A connection that nobody needs for so long is given up (F-06: at most 60 s)."""

FIRST_AGAIN_SECONDS = 60.0
"""How often the first relay is looked at while the second one carries the mail."""

FIRST_PATIENCE_SECONDS = 20.0
"""When the first relay has let nobody in for so long, the second one is called beside it."""

WIDEN_SECONDS = 60.0
"""A relay that refused one more connection is not asked for it again before this."""

QUICK_SECONDS = 0.5
"""Only where the last answer came as soon as this, the next envelope is said behind a final dot."""

QUANTUM_SECONDS = 0.01
"""How long an outcome waits for others before the caller hears of them together."""

POLL_SECONDS = 0.002
"""How soon the caller is asked again whether there is a message."""

MOMENT_SECONDS = 0.25
"""After so long without an outcome the caller hears that there was none."""

SWEEP_SECONDS = 0.1

ENOUGH = 100
"""Outcomes that the caller is to hear of now."""

MANY_MESSAGES = 1000

LONGEST_REPLY = 65_536
"""Octets, all lines together. RFC 5321 §4.5.3.1.5 has 512 for a line; nobody honest needs a hundred such."""

LATE = "The relay let us in too late for this message; it goes back."
NO_ANSWER = "No answer within the time that RFC 5321 allows."
UNREADABLE = "The relay's answer could not be read as SMTP."
CLOSED = "The relay closed the connection."


def reply_seconds(phase: Phase) -> float:
    return REPLY_SECONDS.get(phase, OTHER_REPLY_SECONDS)
