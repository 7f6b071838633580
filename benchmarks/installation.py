"""A whole installation for benchmarks: PostgreSQL with its default durability, Valkey, Celery workers, an audience.

Its templates are the product's with two changes: they greet the reader, and they compute with the reason for which
somebody gets the mail, so that it is part of a variant instead of a slot. Readers of two languages who agreed on four
days make eight variants of one campaign.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import create_engine, text

from benchmarks.processes import cpu_seconds, cpu_seconds_of_family, memory_mb, wait_until_idle
from service.bootstrap import Container, build_container, dkim_keys
from service.domain.words import DeliveryStatus, Language, Layout, MailKind
from service.mail.samples import load_sample
from service.mail.writer import Writer
from service.settings import load
from service.usecases import campaigning
from tests.builders import a_campaign, a_list
from tests.faults.house import ROOT, FaultHouse

LANGUAGES, DAYS = 2, 4
VARIANTS = LANGUAGES * DAYS
SENTENCE = "Run your first kilometres slowly, and count how often you breathe in before you breathe out. "
SUBJECT, LIST = "New trail shoes", "Training"
SENTENCES = 8
"""A paragraph."""
PATIENCE = 60.0
"""Seconds without a single message after which a run has failed."""
LOOK_EVERY = 0.02


@dataclass(frozen=True)
class Sent:
    """One campaign, from the commit of its order until nothing of it is queued or on its way."""

    campaign_id: int
    recipients: int
    seconds: float
    worker_cpu: float
    postgres_cpu: float
    peak_rss_mb: float
    first_after: float
    """Seconds until the first message had arrived: mostly planning."""

    @property
    def per_s(self) -> float:
        return self.recipients / self.seconds


class Installation:
    def __init__(self, directory: Path, settings: Mapping[str, str], *, dkim: bool = False) -> None:
        self.house = FaultHouse(directory, {"log_level": "warning", **settings})
        self.house.postgres.options = ()
        self.house.root = directory / "code"
        self._templates = _templates(self.house.root)
        self._dkim = dkim
        self._workers: list[str] = []
        self.container: Container

    def prepare(self) -> None:
        self.house.prepare()
        self.container = build_container(load(self.house.environment))
        if self._dkim:
            keys = dkim_keys(self.container.settings)
            keys.make(self.container.clock.now())
            keys.rotate(self.container.clock.now())

    def stop(self) -> None:
        if hasattr(self, "container"):
            self.container.engine.dispose()
        self.house.stop_all()

    # Readers and workers

    def add_readers(self, number: int, slug: str) -> int:
        """Readers of a new list, with one consent event each. Returns the list's id."""
        with self.house.transaction() as tx:
            list_id = a_list(tx, slug)
            tx.session.execute(text("SET LOCAL statement_timeout = 0"))
            tx.session.execute(
                text(_READERS),
                {"number": number, "list": list_id, "slug": slug, "languages": LANGUAGES, "days": DAYS},
            )
        self.as_administrator("VACUUM ANALYZE")
        return list_id

    def as_administrator(self, statement: str) -> None:
        engine = create_engine(self.house.postgres.url("milepost"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def start(self, *workers: str, settings: Mapping[str, str] | None = None) -> None:
        """Start bulk workers, and wait until they idle."""
        kept = self.house.environment
        self.house.environment = kept | {f"MILEPOST_{k.upper()}": v for k, v in (settings or {}).items()}
        self.house.start(*workers)
        self.house.environment = kept
        self._workers += workers
        self.house.wait_until(
            "the workers are ready", lambda: all("[queues]" in self.house.log(name) for name in workers)
        )
        wait_until_idle(self.pids())

    def end(self, *workers: str) -> None:
        for name in workers:
            self.house.stop(name)
            self._workers.remove(name)

    def pids(self) -> list[int]:
        return [self.house.processes[name].pid for name in self._workers]

    # Campaigns

    def body_of(self, size: int) -> tuple[str, Layout]:
        """Markdown that makes a mail of about this many octets, the signature included, and the layout for it.

        Raises SystemExit for a size that no mail of ours can have.
        """
        signer = dkim_keys(self.container.settings).signer()
        writer = Writer(self.container.publisher, self.container.keys, templates=self._templates, signer=signer)
        for layout in (Layout.CARD, Layout.PLAIN):
            if self._octets(writer, layout, "") > size:
                continue
            shortest = 0
            longest = size
            while shortest < longest:  # the length of the text, at which the mail is just large enough
                middle = (shortest + longest) // 2
                if self._octets(writer, layout, _prose(middle)) < size:
                    shortest = middle + 1
                else:
                    longest = middle
            return _prose(shortest), layout
        raise SystemExit(f"A mail of {size} octets cannot be made: the shortest is larger. Nothing was measured.")

    def _octets(self, writer: Writer, layout: Layout, prose: str) -> int:
        letter = load_sample(MailKind.CAMPAIGN, Language.EN, self._templates)
        message = writer.write(
            replace(
                letter, body=prose or "Run.", layout=layout, subject=SUBJECT, list_name=LIST, first_name="Reader 500"
            ),
            self.container.clock.now(),
        )
        return len(message.data)

    def order(self, list_id: int, body: str, layout: Layout) -> int:
        with self.house.transaction() as tx:
            campaign_id = a_campaign(tx, list_id=list_id)
            tx.session.execute(
                text("UPDATE campaigns SET subject = :subject, body = :body, layout = :layout WHERE id = :id"),
                {"subject": SUBJECT, "body": body, "layout": layout.value, "id": campaign_id},
            )
            tx.session.expire_all()
            campaigning.order_campaign(tx, campaign_id, by="ada")
        return campaign_id

    def send(self, list_id: int, body: str, layout: Layout, recipients: int, count: Callable[[], int]) -> Sent:
        """`count` says how many messages have arrived, ever. Raises RuntimeError if it is not `recipients` more."""
        pids, postgres = self.pids(), self.house.postgres.process
        if postgres is None:
            raise RuntimeError("PostgreSQL does not run")
        before, rss, first_after = count(), 0.0, 0.0
        cpu, database = sum(map(cpu_seconds, pids)), cpu_seconds_of_family(postgres.pid)
        campaign_id = self.order(list_id, body, layout)
        began = moved_at = time.perf_counter()
        arrived = 0
        while arrived < recipients:
            time.sleep(LOOK_EVERY)
            now = count() - before
            if now != arrived:
                arrived, moved_at = now, time.perf_counter()
                first_after = first_after or moved_at - began
                rss = max(rss, *(memory_mb(pid, "VmRSS") for pid in pids))
            elif time.perf_counter() - moved_at > PATIENCE:
                raise RuntimeError(f"{arrived} of {recipients} have arrived, and nothing more for {PATIENCE:.0f} s.")
            self.check()
        while self.is_under_way(campaign_id, recipients):
            time.sleep(LOOK_EVERY / 4)
        seconds = time.perf_counter() - began
        cpu, database = sum(map(cpu_seconds, pids)) - cpu, cpu_seconds_of_family(postgres.pid) - database
        time.sleep(0.2)  # a message too many would come now
        report = self.house.report(campaign_id)
        accepted, arrived = report.buckets[DeliveryStatus.ACCEPTED], count() - before
        if not arrived == accepted == report.audience == recipients:
            raise RuntimeError(f"{recipients} were to be mailed, {accepted} accepted, {arrived} arrived.")
        return Sent(campaign_id, recipients, seconds, cpu, database, rss, first_after)

    def is_under_way(self, campaign_id: int, recipients: int) -> bool:
        """Whether anything of it is queued or on its way, or not planned yet."""
        values = {"id": campaign_id, "recipients": recipients}
        with self.house.engine.connect() as connection:
            return bool(connection.scalar(text(_NOT_SENT), values) or connection.scalar(text(_NOT_PLANNED), values))

    def check(self) -> None:
        for name, process in self.house.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} has ended: {self.house.log(name)[-2000:]}")


def _prose(length: int) -> str:
    """So many characters, in paragraphs."""
    paragraph = SENTENCE * SENTENCES
    whole = (paragraph.strip() + "\n\n") * (length // len(paragraph) + 1)
    cut = whole[:length].strip()
    return cut if cut.endswith(".") else f"{cut}."


def _templates(root: Path) -> Path:
    """The code as it is, beside templates of our own: a link is not followed when it looks for them."""
    root.mkdir()
    for name in ("service", "workers"):
        (root / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "templates", root / "templates")
    emails = root / "templates/emails"
    for file, before, after in _CHANGES:
        path = emails / file
        words = path.read_text(encoding="utf-8")
        if before not in words:
            raise RuntimeError(f"templates/emails/{file} holds no {before}: the benchmark's change does not fit")
        path.write_text(words.replace(before, after), encoding="utf-8")
    return root / "templates"


_CHANGES = (
    ("campaign/body.txt", "{{ campaign.text }}", "{{ greeting }}\n\n{{ campaign.text }}"),
    ("campaign/body.txt", "{{ greeting }}", "{% if reason %}{{ greeting }}{% endif %}"),
    ("campaign/body.mjml", "{{ campaign.html }}", "<p>{{ greeting }}</p>{{ campaign.html }}"),
    ("campaign/plain.html", "{{ campaign.html }}", "<p>{{ greeting }}</p>\n{{ campaign.html }}"),
)
_READERS = """
WITH people AS (
    INSERT INTO subscribers (address, dedupe_key, address_hmac, language, first_name)
    SELECT a, a, sha256(a::bytea), (ARRAY['en', 'de'])[1 + n % :languages], 'Reader ' || n % 1000
    FROM (SELECT n, format('reader-%s@%s.example', n, CAST(:slug AS text)) AS a FROM generate_series(1, :number) n) x
    RETURNING id
), events AS (
    INSERT INTO consent_events (record_id, subscriber_id, seq, list_id, purpose, state, channel, lawful_basis,
                                occurred_at, recorded_at, personal, prev_hash, hash, mac)
    SELECT lpad(to_hex(p.id), 32, '0')::uuid, p.id, 1, :list, 'offers', 'given', 'form', 'consent_doi',
           now() - (p.id / :languages % :days) * interval '1 day', now(), repeat('x', 200)::bytea,
           sha256('before'), sha256('hash'), sha256('mac')
    FROM people p RETURNING id, subscriber_id, list_id, occurred_at
)
INSERT INTO subscriptions (subscriber_id, list_id, purpose, state, event_id, given_at)
SELECT subscriber_id, list_id, 'offers', 'active', id, occurred_at FROM events
"""
_NOT_SENT = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE campaign_id = :id AND status IN ('queued', 'sending'))"
_NOT_PLANNED = "SELECT count(*) < :recipients FROM deliveries WHERE campaign_id = :id"
