"""As much of JSON Schema (2020-12) as our own schema files use; an unknown keyword fails, none is silently ignored."""

import re
from collections.abc import Callable, Iterator
from typing import Any

TYPES: dict[str, type] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
NOTES = {"$schema", "title", "description", "properties"}
RULES: dict[str, Callable[[Any, Any], bool]] = {
    "type": lambda value, wanted: (
        isinstance(value, TYPES[wanted]) and (isinstance(value, bool) == (wanted == "boolean"))
    ),
    "const": lambda value, wanted: value == wanted and type(value) is type(wanted),
    "enum": lambda value, wanted: value in wanted,
    "minLength": lambda value, wanted: len(value) >= wanted,
    "pattern": lambda value, wanted: re.search(wanted, value) is not None,
    "minItems": lambda value, wanted: len(value) >= wanted,
    "maxItems": lambda value, wanted: len(value) <= wanted,
    "required": lambda value, wanted: all(name in value for name in wanted),
}


def find_faults(schema: dict[str, Any], value: Any, at: str = "$") -> list[str]:
    """Where `value` does not fit; empty if it does."""
    return list(_faults(schema, value, at))


def _faults(schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
    for keyword, wanted in schema.items():
        if keyword in RULES and not RULES[keyword](value, wanted):
            yield f"{at}: {keyword}"
            return
        assert keyword in RULES or keyword in NOTES or keyword in ("items", "additionalProperties"), keyword
    properties = schema.get("properties", {})
    if not schema.get("additionalProperties", True) and value.keys() - properties.keys():
        yield f"{at}: additionalProperties"
    for name in properties.keys() & (value.keys() if isinstance(value, dict) else ()):
        yield from _faults(properties[name], value[name], f"{at}.{name}")
    for number, part in enumerate(value if "items" in schema else ()):
        yield from _faults(schema["items"], part, f"{at}[{number}]")
