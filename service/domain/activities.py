"""The record of processing activities: what is done with readers' data, why, at which risk (GDPR 30, 35; D-21)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Activity:
    id: str
    name: str
    purpose: str
    legal_basis: str
    subjects: str
    data: str
    recipients: str
    retention: tuple[str, ...]
    """Ids of rules in retention.toml."""
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Risk:
    risk: str
    measure: str
    left: str
    """What the measure does not take away."""


@dataclass(frozen=True, slots=True)
class Activities:
    activities: tuple[Activity, ...]
    measures: tuple[str, ...]
    """Security of processing (GDPR 32)."""
    assessment: str
    """Whether an impact assessment is needed."""
    risks: tuple[Risk, ...]


def parse_activities(text: str) -> Activities:
    """The file's content (TOML). Raises ValueError, KeyError or TypeError for one that lacks something."""
    document: Mapping[str, Any] = tomllib.loads(text)
    return Activities(
        activities=tuple(
            Activity(**entry | {"retention": tuple(entry["retention"]), "tables": tuple(entry["tables"])})
            for entry in document["activities"]
        ),
        measures=tuple(document["security"]["measures"]),
        assessment=document["dpia"]["needed"],
        risks=tuple(Risk(**entry) for entry in document["dpia"]["risks"]),
    )
