"""A message without the token that acts for its reader, otherwise octet for octet: what may be kept of it (D1 #11)."""

import re

from service.domain.confirming import Copy
from service.domain.letters import Letter
from service.domain.outcomes import Message
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import ASKS_FOR_CONSENT, MailKind

WITHHELD = b"[token withheld]"


def copy_of(letter: Letter, message: Message, keys: Keys) -> Copy | None:
    """What is kept of this mail; None of all but those whose button says that a consent is given, or still holds."""
    if (letter.signup is None and letter.change is None) or letter.subscriber_id is None:
        return None
    if letter.kind in ASKS_FOR_CONSENT and letter.signup is not None:
        token = keys.seal(Token(TokenKind.CONFIRM, letter.signup.id))
    elif letter.kind is MailKind.ADDRESS_CHANGE and letter.change is not None:
        token = keys.seal(Token(TokenKind.ADDRESS_CHANGE, letter.change.id))
    else:
        return None
    return Copy(letter.kind, letter.delivery_id, letter.subscriber_id, withhold_token(message.data, token))


def withhold_token(data: bytes, token: str) -> bytes:
    """`data` with every occurrence of the token replaced, also where quoted-printable breaks it over two lines."""
    broken = b"(?:=\r\n)?".join(re.escape(character).encode() for character in token)
    return re.sub(broken, WITHHELD, data)
