"""What every table shares: naming of constraints, column types, the ways of writing a key and a time."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Enum, Identity, MetaData, SmallInteger, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column


def word(vocabulary: type[StrEnum]) -> Enum:
    """A column that holds one word of a closed vocabulary, checked by the database."""
    return Enum(
        vocabulary,
        native_enum=False,
        create_constraint=True,
        length=32,
        name=vocabulary.__name__.lower(),
        values_callable=lambda words: [w.value for w in words],
    )


Key = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
Ref = Annotated[int, mapped_column(BigInteger)]
At = Annotated[datetime, mapped_column(DateTime(timezone=True))]
CreatedAt = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
Ids = Annotated[list[int], mapped_column(ARRAY(BigInteger))]
Small = Annotated[int, mapped_column(SmallInteger)]
Words = Annotated[list[str], mapped_column(ARRAY(Text))]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {str: Text}
