"""The catcher's store: one SQLite file that survives restarts, one row per recipient, the bytes as they came."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

TABLES = """
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    mail_from TEXT NOT NULL,
    rcpt_to TEXT NOT NULL,
    subject TEXT NOT NULL,
    raw BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS mails_rcpt_to ON mails (rcpt_to COLLATE NOCASE, id);
"""


@dataclass(frozen=True, slots=True)
class Mail:
    """What a list shows of a mail."""

    id: int
    at: str
    """ISO 8601, UTC."""
    mail_from: str
    rcpt_to: str
    subject: str

    def document(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Mailbox:
    """Open one per thread, and close it. When `add` returns, a mail survives the death of this process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode = WAL")
        # Survives kill -9; only a loss of power may cost the last mails of a demo.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(TABLES)

    def close(self) -> None:
        self._db.close()

    def add(self, mail_from: str, recipients: Sequence[str], raw: bytes) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        subject = _subject(raw)
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO mails (at, mail_from, rcpt_to, subject, raw) VALUES (?, ?, ?, ?, ?)",
            [(at, mail_from, recipient, subject, raw) for recipient in recipients],
        )
        self._db.execute("COMMIT")

    def list_after(self, after: int, to: str = "", limit: int = 10_000) -> list[Mail]:
        """Mails with a higher id, oldest first; `to` is a whole address."""
        where, values = ("AND rcpt_to = ? COLLATE NOCASE", [to]) if to else ("", [])
        rows = self._db.execute(
            f"SELECT id, at, mail_from, rcpt_to, subject FROM mails WHERE id > ? {where} ORDER BY id LIMIT ?",  # noqa: S608
            [after, *values, limit],
        )
        return [Mail(*row) for row in rows]

    def search(self, words: str, limit: int, offset: int) -> tuple[list[Mail], int]:
        """Newest first, those that hold `words` in address or subject, and how many there are."""
        pattern = "%" + words.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
        where = r"WHERE rcpt_to LIKE ?1 ESCAPE '\' OR subject LIKE ?1 ESCAPE '\'" if words else "WHERE ?1 IS NOT NULL"
        total = self._db.execute(f"SELECT count(*) FROM mails {where}", [pattern]).fetchone()[0]  # noqa: S608
        rows = self._db.execute(
            f"SELECT id, at, mail_from, rcpt_to, subject FROM mails {where} ORDER BY id DESC LIMIT ?2 OFFSET ?3",  # noqa: S608
            [pattern, limit, offset],
        )
        return [Mail(*row) for row in rows], total

    def forget(self, address: str) -> int:
        """Remove every mail to this address, from the file as well: nothing of it is left in free pages or in the log
        of changes. Returns how many there were."""
        self._db.execute("PRAGMA secure_delete = ON")
        removed = self._db.execute("DELETE FROM mails WHERE rcpt_to = ? COLLATE NOCASE", [address]).rowcount
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def get(self, mail_id: int) -> tuple[Mail, bytes] | None:
        row = self._db.execute(
            "SELECT id, at, mail_from, rcpt_to, subject, raw FROM mails WHERE id = ?", [mail_id]
        ).fetchone()
        return None if row is None else (Mail(*row[:5]), row[5])


@dataclass(frozen=True, slots=True)
class Content:
    """A mail, opened."""

    headers: list[tuple[str, str]]
    """In order, unfolded and decoded."""
    text: str | None
    html: str | None
    links: list[str]
    """Every href of the HTML part, in order, once each; of the text part if there is no HTML."""


def open_mail(raw: bytes) -> Content:
    plain = message_from_bytes(raw)
    message = message_from_bytes(raw, policy=policy.default)
    text, html = (_part(message, kind) for kind in ("plain", "html"))
    collector = _Links()
    if html is not None:
        collector.feed(html)
    links = collector.links if html is not None else [w.strip("<>.,)") for w in (text or "").split() if "://" in w]
    return Content([(name, _decode(value)) for name, value in plain.items()], text, html, list(dict.fromkeys(links)))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.links.append(href)


def _part(message: EmailMessage, kind: str) -> str | None:
    for part in message.walk():
        if part.get_content_type() == f"text/{kind}" and not part.is_attachment():
            try:
                return str(part.get_content())
            except LookupError:  # a charset that nobody knows
                return cast("bytes", part.get_payload(decode=True)).decode("latin-1")
    return None


def _subject(raw: bytes) -> str:
    head = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return _decode(BytesHeaderParser(policy=policy.compat32).parsebytes(head).get("Subject", ""))


def _decode(value: object) -> str:
    text = " ".join(str(value).splitlines())
    try:
        return " ".join(str(make_header(decode_header(text))).split())
    except (ValueError, LookupError):
        return text
