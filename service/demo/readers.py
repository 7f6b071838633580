"""Five hundred fictional readers: the same ones in every demo, with every state that a reader can be in."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from service.domain.words import Language

NUMBER = 500
SEED = 42
NAMES = {
    Language.EN: (
        "Aisha", "Amara", "Anjali", "Aroha", "Ayumi", "Beatriz", "Chidi", "Chloe", "Dafydd", "Deepa", "Emre", "Eszter",
        "Fatima", "Femi", "Giulia", "Grace", "Hana", "Hye-jin", "Ifeoma", "Ingrid", "Isla", "Ivan", "Jack", "Jamal",
        "Joana", "Kari", "Katarzyna", "Kavita", "Kenji", "Kiri", "Kofi", "Lars", "Leila", "Liam", "Linh", "Lucía",
        "Mairead", "Malia", "Mateo", "Mei", "Milena", "Nadia", "Niamh", "Nikos", "Noa", "Olu", "Omar", "Paolo",
        "Priya", "Rahul", "Rosa", "Rūta", "Sade", "Sanne", "Seán", "Sipho", "Sofía", "Søren", "Tane", "Tariq", "Thandi",
        "Tomáš", "Unathi", "Valentina", "Wanjiru", "Xiulan", "Yara", "Yusuf", "Zanele", "Zoë",
    ),
    Language.DE: (
        "Anke", "Annika", "Beat", "Birgit", "Björn", "Çiğdem", "Claudia", "Dilara", "Dörte", "Elif", "Enno", "Fabian",
        "Franziska", "Gereon", "Greta", "Hannes", "Heike", "Ilse", "Jannik", "Johanna", "Jörg", "Jürg", "Katja",
        "Kilian", "Lena", "Luca", "Maik", "Mareike", "Matteo", "Mehmet", "Nele", "Ole", "Paula", "Reto", "Ronja",
        "Sabine", "Samira", "Silke", "Sven", "Thea", "Till", "Urs", "Ursina", "Vreni", "Wiebke", "Xaver", "Yannick",
    ),
}  # fmt: skip
DOMAINS = (
    "post.example", "mail.example", "fjord.example", "highland.example", "lagos-runners.example", "kiwi.example",
    "bergverein.example", "lauftreff.example", "stadtpost.example", "outlook.test", "inbox.test", "relay.test",
)  # fmt: skip


class Fate(StrEnum):
    """What became of a reader since the sign-up."""

    ACTIVE = "active"
    KNOWS_ALL = "knows all"
    """Was mailed every article before: the next digest has nothing new for them."""
    KNOWS_SOME = "knows some"
    PAUSED = "paused"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    UNCONFIRMED = "unconfirmed"


SHARES = (
    (Fate.KNOWS_ALL, 60),
    (Fate.KNOWS_SOME, 60),
    (Fate.PAUSED, 20),
    (Fate.UNSUBSCRIBED, 45),
    (Fate.BOUNCED, 15),
    (Fate.UNCONFIRMED, 40),
)
"""Of NUMBER; the rest is active and was mailed nothing yet."""


@dataclass(frozen=True, slots=True)
class FictionalReader:
    address: str
    first_name: str | None
    language: Language
    topics: tuple[str, ...]
    offers: bool
    """Agreed to offers too."""
    signed_up_days_ago: float
    fate: Fate


def fictional_readers(topics: tuple[str, ...]) -> Iterator[FictionalReader]:
    """The readers, each with one to all of `topics`."""
    draw = random.Random(SEED)  # noqa: S311  the same readers every time
    fates = [fate for fate, share in SHARES for _ in range(share)]
    fates += [Fate.ACTIVE] * (NUMBER - len(fates))
    draw.shuffle(fates)
    for number, fate in enumerate(fates, start=1):
        language = Language.DE if draw.random() < 0.4 else Language.EN  # noqa: PLR2004
        yield FictionalReader(
            address=f"reader-{number:03}@{draw.choice(DOMAINS)}",
            first_name=draw.choice(NAMES[language]) if draw.random() < 0.7 else None,  # noqa: PLR2004
            language=language,
            topics=tuple(sorted(draw.sample(topics, draw.randint(1, len(topics))))),
            offers=draw.random() < 0.45,  # noqa: PLR2004
            signed_up_days_ago=draw.uniform(2, 400) if fate is not Fate.UNCONFIRMED else draw.uniform(0.1, 2.5),
            fate=fate,
        )
