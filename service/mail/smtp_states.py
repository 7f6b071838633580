"""Where a connection stands, and which phase of the dialogue that is to whoever hears of it."""

from enum import IntEnum

from service.domain.outcomes import Phase


class State(IntEnum):
    """What the connection waits for."""

    IDLE = 0
    MAIL = 1
    RCPT = 2
    DATA = 3
    BODY = 4
    """The socket to take a large message."""
    EOM = 5
    RSET = 6
    LONE_DOT = 7
    """The answer to no message at all, where DATA was let through for a recipient who was not (RFC 2920 §3.1)."""
    LEAVING = 8
    GONE = 9


PHASES = {
    State.MAIL: Phase.MAIL,
    State.RCPT: Phase.RCPT,
    State.DATA: Phase.DATA,
    State.BODY: Phase.DATA,
    State.EOM: Phase.EOM,
    State.RSET: Phase.MAIL,
    State.LONE_DOT: Phase.EOM,
}
