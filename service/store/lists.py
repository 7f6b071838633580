"""Lists and their topics."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.store.schema import List, Topic
from service.store.transaction import Transaction


def add_list(tx: Transaction, slug: str, names: Mapping[Language, str], list_id: str) -> int:
    """Add a list, or rename the one with this slug; its List-Id never changes (A-32). Returns its id."""
    values = {language.value: name for language, name in names.items()}
    statement = (
        insert(List)
        .values(slug=slug, names=values, list_id=list_id)
        .on_conflict_do_update(index_elements=[List.slug], set_={"names": values})
        .returning(List.id)
    )
    return tx.session.scalars(statement).one()


def add_topic(tx: Transaction, list_id: int, slug: str, names: Mapping[Language, str], position: int = 0) -> int:
    """Add a topic to a list, or rename and move the one with this slug. Returns its id."""
    values = {language.value: name for language, name in names.items()}
    statement = (
        insert(Topic)
        .values(list_id=list_id, slug=slug, names=values, position=position)
        .on_conflict_do_update(index_elements=[Topic.list_id, Topic.slug], set_={"names": values, "position": position})
        .returning(Topic.id)
    )
    return tx.session.scalars(statement).one()


def get_list(tx: Transaction, slug: str) -> List:
    """The list with this slug; raises ServiceError (NOT_FOUND) if there is none."""
    found = tx.session.scalar(select(List).where(List.slug == slug))
    if found is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "list_unknown",
            f"There is no list {slug!r}; nothing was done. Check its name.",
            field="list",
        )
    return found


def find_list(tx: Transaction, list_id: int) -> List:
    """The list with this id, which something refers to."""
    return tx.session.get_one(List, list_id)


def list_lists(tx: Transaction) -> Sequence[List]:
    return tx.session.scalars(select(List).order_by(List.id)).all()


def list_topics(tx: Transaction, list_id: int) -> Sequence[Topic]:
    """The topics of a list in the order they are shown."""
    return tx.session.scalars(select(Topic).where(Topic.list_id == list_id).order_by(Topic.position, Topic.slug)).all()
