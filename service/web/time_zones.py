"""Time zones as a reader chooses one: by region, each with the name that its city has in the reader's language.

The names are Unicode's (CLDR), which Babel brings along; whether the database reckons with one is asked when it is set.
"""

from dataclasses import dataclass
from functools import cache

from babel import Locale
from babel.core import get_global

from service.domain.words import Language

REGIONS = ("Europe", "Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Indian", "Pacific")
"""Continents and oceans that zones are named after; the text of each is `region.<name in lower case>`."""

USUAL = {
    Language.EN: "Europe/London",
    Language.DE: "Europe/Berlin",
    Language.FR: "Europe/Paris",
    Language.ES: "Europe/Madrid",
}
"""What the field offers to whom it has not been asked before; used only once an hour is chosen."""


@dataclass(frozen=True, slots=True)
class Zone:
    name: str
    """As the database knows it: Europe/Oslo."""
    city: str


@cache
def zones_by_region(language: Language) -> tuple[tuple[str, tuple[Zone, ...]], ...]:
    """(region, zones by city), Europe first."""
    cities = Locale.parse(language.value).time_zones
    by_region: dict[str, list[Zone]] = {region: [] for region in REGIONS}
    for name in get_global("zone_territories"):
        region, _, place = name.partition("/")
        if region in by_region:
            city = cities.get(name, {}).get("city") or place.rpartition("/")[2].replace("_", " ")
            by_region[region].append(Zone(name, city))
    return tuple(
        (region.lower(), tuple(sorted(zones, key=lambda zone: zone.city))) for region, zones in by_region.items()
    )


def is_offered(name: str) -> bool:
    return any(zone.name == name for _, zones in zones_by_region(Language.EN) for zone in zones)
