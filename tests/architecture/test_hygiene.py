"""What must never stand in a committed file: this machine, a registry, a password, unfinished work."""

import re

import pytest

from tests.architecture.sources import ROOT, committed, refuse

BINARY = (".png", ".jpg", ".ico", ".gz", ".woff2")
THIS_FILE = "tests/architecture/test_hygiene.py"

RULES = {
    "a path of one machine": (
        r"/(?:root|home/[a-z]\w*|Users/\w+|opt/wheels|work/(?:main|shared))/",
        "in /home/ada/milepost",
        "Use a path relative to the checkout, or a temporary directory.",
    ),
    "a package or image registry": (
        r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|docker\.io|ghcr\.io|quay\.io)\b",
        "image: quay.io/something",
        "Locks and compose files name what is fetched, never where from.",
    ),
    "unfinished work": (
        r"\b(?:TODO|FIXME|XXX|HACK)\b",
        "# TODO: later",
        "Do it, or open an issue; a comment is not a plan.",
    ),
    "a private key": (
        r"BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY",
        "-----BEGIN PRIVATE KEY-----",
        "Keys are made at the first start.",
    ),
}


def _files() -> list[tuple[str, str]]:
    return [
        (name, (ROOT / name).read_text(encoding="utf-8", errors="replace"))
        for name in committed()
        if not name.endswith(BINARY) and name != THIS_FILE
    ]


@pytest.mark.parametrize("rule", RULES)
def test_no_committed_file_holds(rule: str) -> None:
    pattern, planted, instead = RULES[rule]
    assert re.search(pattern, planted), "the rule does not find what it forbids"
    places = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in _files()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]
    refuse(places, f"Committed files never hold {rule}. {instead}")


PASSWORD = re.compile(
    r"""(?i)(?:password|passwd|secret|secret_key|api_?key|requirepass)["']?\s*[:= ]\s*"""
    r"""(?P<quote>["']?)(?P<value>[A-Za-z0-9+/_-]{6,})(?P=quote)[,;]?\s*(?:#.*)?$"""
)


def _gives_a_password(line: str) -> bool:
    """A literal beside such a word. Bare words are names of types and variables, unless a digit makes them values."""
    found = PASSWORD.search(line)
    if found is None or found["value"].startswith("/"):
        return False
    return bool(found["quote"]) or bool(re.search(r"\d", found["value"]) and re.search(r"[a-z]", found["value"]))


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("POSTGRES_PASSWORD: milepost1", True),
        ('secret_key = "changemechangeme"', True),
        ("        requirepass hunter22", True),
        ('{"password": "letmein"},', False),  # a brace: not the end of the line
        ("POSTGRES_PASSWORD_FILE: /run/milepost-owner-secrets/postgres_password", False),
        ("password: str | None = None", False),
        ("password = secrets.token_urlsafe(24)", False),
        ("requirepass $$(cat /run/milepost-secrets/redis_password)", False),
        ("MILEPOST_RELAY_PASSWORD:", False),
    ],
)
def test_the_rule_on_passwords_can_tell(line: str, refused: bool) -> None:
    assert _gives_a_password(line) is refused


def test_nothing_that_is_shipped_has_a_default_password() -> None:
    shipped = [
        (name, text)
        for name, text in _files()
        if name.endswith((".py", ".yml", ".toml", ".example", ".sh", "Dockerfile", "Makefile"))
        and not name.startswith(("tests/", "requirements/"))
    ]
    assert {"docker-compose.yml", "service/settings.py"} <= {name for name, _ in shipped}
    places = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in shipped
        for number, line in enumerate(text.splitlines(), 1)
        if _gives_a_password(line)
    ]
    refuse(places, "No default password or secret: it is drawn at the first start (`milepost secrets`).")
