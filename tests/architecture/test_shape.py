"""Names, sizes and first lines of modules (design §6, §7)."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import Source, committed, product, refuse

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}


def test_modules_are_named_after_what_they_own() -> None:
    places = [
        name
        for name in committed()
        if name.endswith(".py") and NAMES_THAT_SAY_NOTHING & set(name.removesuffix(".py").split("/"))
    ]
    refuse(places, "Name the module after the one thing it owns (design §7).")


def test_modules_are_short_enough_to_own_one_thing() -> None:
    places = [
        f"{source.path}: {lines} lines" for source in product() if (lines := source.text.count("\n")) > LONGEST_MODULE
    ]
    refuse(places, f"A module has at most {LONGEST_MODULE} lines: it owns two things, so make it two modules.")


def test_functions_are_short_enough_to_read_at_once() -> None:
    places = [
        f"{source.path}:{node.lineno}: {node.name} has {length} lines"
        for source in product()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    refuse(places, f"A function has at most {LONGEST_FUNCTION} lines: name its steps as functions.")


@pytest.mark.parametrize("source", product(), ids=lambda source: source.name)
def test_every_module_says_what_it_owns(source: Source) -> None:
    docstring = ast.get_docstring(source.tree)
    assert docstring, f"{source.path}: begin with a docstring whose first line says what the module owns."
    first = docstring.splitlines()[0]
    assert len(first) > 10, f"{source.path}: the first line {first!r} does not say what the module owns."


EDGES = ("service/web/", "service/cli/", "service/demo/", "workers/")


def catches_everything(source: Source) -> Iterator[int]:
    if source.path.startswith(EDGES):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "Exception"
            raises_again = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            if caught in ("Exception", "BaseException") and not raises_again:
                yield node.lineno


def test_only_an_edge_catches_everything() -> None:
    code = "try:\n    pass\nexcept Exception:\n    pass\n"
    assert list(catches_everything(Source("service/mail/planted.py", code, ast.parse(code))))
    places = [f"{source.path}:{line}" for source in product() for line in catches_everything(source)]
    refuse(places, "Catch what is expected, by name; only an edge catches everything (design §7).")
