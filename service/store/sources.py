"""Sources of articles: where they are, how they are read, how their last pull went."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select, update

from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.store.schema import Source
from service.store.transaction import Transaction


def add_source(
    tx: Transaction,
    *,
    slug: str,
    list_id: int,
    location: str,
    language: Language | None,
    topic_map: Mapping[str, str],
) -> int:
    """Add a source, or change the one with this slug. Returns its id.

    A changed source is read anew, even if its feed is the same as before. Raises ServiceError (CONFLICT) if another
    source reads this location, or if the source belongs to another list: its articles cannot change sides.
    """
    other = tx.session.scalar(select(Source.slug).where(Source.location == location, Source.slug != slug))
    if other is not None:
        raise _conflict("location", f"The source {other!r} reads {location} already; nothing was added.")
    source = tx.session.scalar(select(Source).where(Source.slug == slug).with_for_update())
    if source is None:
        source = Source(slug=slug, list_id=list_id)
        tx.session.add(source)
    elif source.list_id != list_id:
        raise _conflict("slug", f"The source {slug!r} belongs to another list; nothing was changed. Take another name.")
    read_as = (location, language, dict(topic_map))
    if (source.location, source.language, source.topic_map) != read_as:
        source.location, source.language, source.topic_map = read_as
        source.etag = source.last_modified = source.body_sha256 = None
    tx.session.flush()
    return source.id


def get_source(tx: Transaction, slug: str) -> Source:
    """The source with this slug; raises ServiceError (NOT_FOUND)."""
    found = tx.session.scalar(select(Source).where(Source.slug == slug))
    if found is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "source_unknown",
            f"There is no source {slug!r}; nothing was read. `milepost content sources` shows them.",
            field="source",
        )
    return found


def list_sources(tx: Transaction) -> Sequence[Source]:
    """Every source by its slug."""
    return tx.session.scalars(select(Source).order_by(Source.slug)).all()


def lock_source(tx: Transaction, source_id: int) -> Source:
    """The source as it is now; others who store what they read from it wait."""
    return tx.session.scalars(
        select(Source).where(Source.id == source_id).with_for_update().execution_options(populate_existing=True)
    ).one()


def mark_pulled(tx: Transaction, source_id: int) -> None:
    """A good answer, also when nothing was new."""
    tx.session.execute(
        update(Source).where(Source.id == source_id).values(pulled_at=tx.now, error=None, failed_at=None)
    )


def mark_read(
    tx: Transaction, source_id: int, *, etag: str | None, last_modified: str | None, body_sha256: bytes
) -> None:
    """What the server says of the feed that has been stored; makes the next pull cheap."""
    tx.session.execute(
        update(Source)
        .where(Source.id == source_id)
        .values(etag=etag, last_modified=last_modified, body_sha256=body_sha256)
    )


def mark_failed(tx: Transaction, source_id: int, error: str) -> None:
    """Why the last pull failed. Everything else stays as it was."""
    tx.session.execute(update(Source).where(Source.id == source_id).values(error=error, failed_at=tx.now))


def _conflict(field: str, message: str) -> ServiceError:
    return ServiceError(Kind.CONFLICT, f"source_{field}_taken", message, field=field)
