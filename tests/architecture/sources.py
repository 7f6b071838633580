"""The source files as these tests read them, and one way to name the places at fault."""

import ast
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """One module of the product. `path` is relative to the checkout."""

    path: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def imports(self) -> Iterator[tuple[int, str, str]]:
        """(line, module, name) of every import, also inside functions; the name is empty for `import x`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.lineno, node.module or "", alias.name) for alias in node.names)


@cache
def product() -> tuple[Source, ...]:
    """Every module under service/ and workers/, migrations left out."""
    found = [
        path
        for package in ("service", "workers")
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts
    ]
    assert len(found) > 50, "the product's modules were not found"
    return tuple(
        Source(str(path.relative_to(ROOT)), text := path.read_text(encoding="utf-8"), ast.parse(text)) for path in found
    )


@cache
def committed() -> tuple[str, ...]:
    """Every file that git would keep: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return tuple(name for name in sorted(set(done.stdout.split("\0"))) if name and (ROOT / name).is_file())


def calls(source: Source) -> Iterator[tuple[int, str]]:
    """(line, dotted name as written) of every call whose callee is a plain dotted name."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def refuse(places: Iterable[str], instead: str) -> None:
    """Fail with every place and what to do instead."""
    found = list(places)
    assert not found, "\n".join([instead, *(f"  {place}" for place in found)])
