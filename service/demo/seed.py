"""What a first start finds: a digest, its sources read once, and readers in every state, each with the evidence for it.

Readers come about as they would by themselves: a sign-up, an event *requested*, one *given*, perhaps one *withdrawn*,
each at its own time in the past. Only the mails are left out.
"""

from datetime import timedelta

from service.bootstrap import Container
from service.demo.articles import LIST
from service.demo.readers import Fate, FictionalReader, fictional_readers
from service.demo.state import DemoState
from service.domain.confirming import describe_request
from service.domain.evidence import Evidence
from service.domain.forms import FormView, SignupRequest, Submission, check_submission
from service.domain.tokens import Keys, api_token_hash
from service.domain.words import Channel, ConsentState, Language, Role, SignupState, SuppressionReason
from service.errors import ConfigurationError
from service.store import consent, histories, signups, subscribers, suppressions, tokens
from service.store.consent import NOBODY, NewEvent
from service.store.transaction import Transaction
from service.usecases import access, digesting, pulling, wording

DIGEST = "hub"
FEEDS = {Language.EN: "en.rss", Language.DE: "de.atom"}
DIGEST_NAMES = {
    Language.EN: "Training digest",
    Language.DE: "Trainings-Digest",
    Language.FR: "Le récap entraînement",
    Language.ES: "Resumen de entrenamiento",
}
MAX_AGE_DAYS = 3650
"""A demo that is started again next year should still have something to mail."""
# An address of TEST-NET-3 (RFC 5737): nobody's.
EVIDENCE = Evidence(ip="203.0.113.7", user_agent="Fictional/1.0", page_url="https://hub.fjellsko.example/")
LATELY_DAYS = 21
"""Readers who know some articles know those that are older."""


def seed(state: DemoState, container: Container, hub_url: str) -> str:
    """Make sure that everything is there; a line for people. Repeating it adds nothing.

    Expects a migrated database and the hub's feeds to answer. Raises ConfigurationError if they cannot be read.
    """
    with container.transaction() as tx:
        wording.publish(tx, container.publisher, container.circumstances)
        _add_digest(tx, hub_url)
        _add_token(tx, state)
    pulled = pulling.pull_sources(container.transaction, container.fetcher)
    if broken := [f"{result.source}: {result.error}" for result in pulled if result.error]:
        raise ConfigurationError(f"The hub's feeds could not be read: {'; '.join(broken)}")
    with container.transaction() as tx:
        added = _add_readers(tx, container.keys)
    new = sum(result.new for result in pulled)
    if added:
        return f"The hub has {new} articles and {added} fictional readers."
    return f"The hub has {new} new articles." if new else "The hub is as you left it."


def _add_digest(tx: Transaction, hub_url: str) -> None:
    for language, feed in FEEDS.items():
        # Changes the location too, should the hub have another port today.
        pulling.add_source(
            tx, slug=f"hub-{language}", list_slug=LIST, location=f"{hub_url}/feeds/{feed}", language=language
        )
    digesting.add_digest(
        tx,
        slug=DIGEST,
        list_slug=LIST,
        names=DIGEST_NAMES,
        min_items=1,
        max_items=5,
        max_age_days=MAX_AGE_DAYS,
    )


def _add_token(tx: Transaction, state: DemoState) -> None:
    """A token for `milepost demo --once`, kept beside the other secrets."""
    kept = state.read("secrets.json")
    known = tokens.find_token(tx, api_token_hash(kept["api_token"])) if "api_token" in kept else None
    if known and Role.CAMPAIGN in known.roles:
        return
    made = access.create_token(tx, f"demo {tx.now:%Y-%m-%d %H:%M:%S.%f}", [Role.CAMPAIGN], by="demo")
    state.write("secrets.json", kept | {"api_token": made.token})


def _add_readers(tx: Transaction, keys: Keys) -> int:
    forms = {language: wording.get_form(tx, wording.FORM, language) for language in Language}
    readers = list(fictional_readers(tuple(topic.slug for topic in forms[Language.EN].topics)))
    if subscribers.find_by_dedupe_key(tx, readers[-1].address):
        return 0
    ids: dict[Fate, list[int]] = {fate: [] for fate in Fate}
    events: list[NewEvent] = []
    for reader in readers:
        biography = _Biography(tx, keys, forms[reader.language], reader)
        ids[reader.fate].append(biography.write())
        events += biography.events
    consent.append_many(tx, keys.ledger, events)
    histories.add_history(tx, ids[Fate.KNOWS_ALL], tx.now)
    histories.add_history(tx, ids[Fate.KNOWS_SOME], tx.now - timedelta(days=LATELY_DAYS))
    return len(readers)


class _Biography:
    """One reader's past, up to today."""

    def __init__(self, tx: Transaction, keys: Keys, form: FormView, reader: FictionalReader) -> None:
        self.tx = tx
        self.keys = keys
        self.form = form
        self.reader = reader
        self.events: list[NewEvent] = []

    def write(self) -> int:
        """Returns the subscriber's id; the events are left in `events`."""
        request = check_submission(self._submission(), self.form, reserved=True)
        if isinstance(request, list):
            raise TypeError(f"a fictional reader cannot sign up: {request}")
        days_ago = self.reader.signed_up_days_ago
        subscriber_id, signup_id = self._sign_up(self._at(days_ago), request)
        if self.reader.fate is Fate.UNCONFIRMED:
            return subscriber_id
        self._confirm(self._at(days_ago - 0.01), request, subscriber_id, signup_id)
        match self.reader.fate:
            case Fate.UNSUBSCRIBED:
                past = self._at(days_ago / 2)
                self._note(past, ConsentState.WITHDRAWN, Channel.PAGE, request, subscriber_id, None)
            case Fate.BOUNCED:
                suppressions.add_suppression(
                    self._at(days_ago / 3),
                    address_hmac=self.keys.address_hmac(request.address.dedupe_key),
                    reason=SuppressionReason.PERMANENT_BOUNCE,
                    source="demo",
                )
            case Fate.PAUSED:
                subscribers.set_pause(self.tx, subscriber_id, self.tx.now + timedelta(days=30))
        return subscriber_id

    def _at(self, days_ago: float) -> Transaction:
        """This transaction, in the past. Hints left in it are dropped: nobody has to be mailed."""
        return Transaction(self.tx.session, self.tx.now - timedelta(days=days_ago))

    def _submission(self) -> Submission:
        return Submission(
            form=self.form.slug,
            language=self.reader.language,
            address=self.reader.address,
            first_name=self.reader.first_name or "",
            purposes=("digest", "offers") if self.reader.offers else ("digest",),
            topics=self.reader.topics,
        )

    def _sign_up(self, past: Transaction, request: SignupRequest) -> tuple[int, int]:
        address_hmac = self.keys.address_hmac(request.address.dedupe_key)
        signup_id = signups.add_signup(
            past,
            request,
            EVIDENCE,
            address_hmac=address_hmac,
            abuse_hmac=self.keys.address_hmac(request.address.abuse_key),
            domain_hmac=self.keys.domain_hmac(request.address.domain),
        )
        subscriber_id = subscribers.add_subscriber(
            past,
            address=request.address.address,
            dedupe_key=request.address.dedupe_key,
            address_hmac=address_hmac,
            language=request.language,
            first_name=None if self.reader.fate is Fate.UNCONFIRMED else request.first_name,
        )
        self._note(past, ConsentState.REQUESTED, Channel.FORM, request, subscriber_id, signup_id)
        signup = signups.find_signup(past, signup_id)
        if signup is not None:
            expires_at = past.now + timedelta(hours=72)
            signups.mark_decided(
                past, signup, SignupState.ASKED, subscriber_id=subscriber_id, mailed=True, expires_at=expires_at
            )
        return subscriber_id, signup_id

    def _confirm(self, past: Transaction, request: SignupRequest, subscriber_id: int, signup_id: int) -> None:
        self._note(past, ConsentState.GIVEN, Channel.CONFIRMATION, request, subscriber_id, signup_id)
        signup = signups.find_signup(past, signup_id)
        if signup is not None:
            signups.mark_confirmed(past, signup)
        subscribers.replace_topics(past, subscriber_id, self.form.list_id, request.topic_ids)

    def _note(
        self,
        past: Transaction,
        state: ConsentState,
        channel: Channel,
        request: SignupRequest,
        subscriber_id: int,
        signup_id: int | None,
    ) -> None:
        """One event per purpose; what was agreed to is bound to its words, a withdrawal needs none. What the form sent
        stands with the button, as it does of everybody."""
        agreed = signup_id is not None
        sent = describe_request(
            EVIDENCE,
            entered=self.reader.address,
            ticked=[purpose.value for purpose in request.purposes],
            language=request.language.value,
            at=past.now,
        )
        self.events += [
            NewEvent(
                subscriber_id=subscriber_id,
                list_id=request.list_id,
                purpose=purpose,
                state=state,
                channel=channel,
                occurred_at=past.now,
                signup_id=signup_id,
                statement_id=statement_id if agreed else None,
                notice_id=request.notice_id if agreed else None,
                form_id=request.form_id if agreed else None,
                evidence=NOBODY if state is ConsentState.REQUESTED else EVIDENCE,
                personal=sent if state is ConsentState.GIVEN else {},
            )
            for purpose, statement_id in zip(request.purposes, request.statement_ids, strict=True)
        ]
