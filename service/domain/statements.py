"""What the words beside a box, and the form around them, must say before anybody may agree to them (D-04, D-05)."""

import re

from service.domain.words import Language

_SAID: dict[str, dict[Language, str]] = {
    "that it comes by e-mail": {
        Language.EN: r"e-?mail",
        Language.DE: r"e-?mail",
        Language.FR: r"e-?mail|courriel|courrier électronique",
        Language.ES: r"e-?mail|correo",
    },
    "how often mail comes": {
        Language.EN: r"\b(days?|daily|weeks?|weekly|months?|monthly|years?|yearly)\b",
        Language.DE: r"\b(tag(e|en|s)?|täglich|wochen?|wöchentlich|monat(e|en|s)?|monatlich|jahr(e|en|s)?|jährlich)\b",
        Language.FR: r"\b(jours?|quotidien\w*|semaines?|hebdomadaire\w*|mois|mensuel\w*|an|ans|année)\b",
        Language.ES: r"\b(días?|diari\w+|semanas?|semanal\w*|mes|meses|mensual\w*|años?)\b",
    },
    "how to take the consent back": {
        Language.EN: r"unsubscribe|withdraw",
        Language.DE: r"\babmeld|widerruf",
        Language.FR: r"désinscri|désabonn|retirer",
        Language.ES: r"de baja|cancelar|retirar",
    },
    "where the privacy notice is": {
        Language.EN: r"privacy (notice|policy|statement)",
        Language.DE: r"datenschutz",
        Language.FR: r"confidentialité|protection des données",
        Language.ES: r"privacidad|protección de datos",
    },
}


def find_unsaid(statement: str, language: Language, controller_name: str) -> tuple[str, ...]:
    """What a statement leaves out of what it must name (BGH VI ZR 721/15); empty: it may be published.

    The first paragraph stands beside the box: there the legal entity and what it sends must stand already.
    """
    beside_the_box = statement.partition("\n\n")[0]
    unsaid = [name for name, words in _SAID.items() if not re.search(words[language], statement, re.IGNORECASE)]
    if controller_name not in beside_the_box:
        unsaid.insert(0, "the legal entity beside the box")
    if len(beside_the_box.replace(controller_name, "").split()) < _FEWEST_WORDS:
        unsaid.insert(0, "what will be sent")
    return tuple(unsaid)


_FEWEST_WORDS = 4
_BOX = re.compile(r"<input\b[^>]*type=\"checkbox\"[^>]*>", re.IGNORECASE)
_TICKED = re.compile(r"\schecked\b", re.IGNORECASE)


def find_form_flaws(html: str, notice_path: str) -> tuple[str, ...]:
    """What is wrong with a form as it will be shown: boxes ticked beforehand, no box at all, no way to the notice."""
    boxes = _BOX.findall(html)
    flaws = []
    if not boxes:
        flaws.append("it has no box to tick")
    if any(_TICKED.search(box) for box in boxes):
        flaws.append("a box is ticked beforehand")
    if not re.search(rf'href="[^"]*{re.escape(notice_path)}"', html):
        flaws.append(f"it does not link to its privacy notice ({notice_path})")
    return tuple(flaws)
