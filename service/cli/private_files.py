"""Files full of personal data: for this user's eyes only, never through a link, never half written, never over another.

What can be refused is refused before anything is read or noted in the audit log.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import Kind, ServiceError


class Reserved:
    """Room for one file in its directory, written in full before it has its name."""

    def __init__(self, directory: Path) -> None:
        file, name = tempfile.mkstemp(prefix=".milepost-", dir=directory)  # 0600, and never a name that is there
        os.close(file)
        self.part = Path(name)

    def write(self, path: Path, whole: bytes, *, replace: bool) -> None:
        """Raises OSError. Without `replace` a file or link of this name stays, and FileExistsError says so."""
        with self.part.open("wb") as file:
            file.write(whole)
            file.flush()
            os.fsync(file.fileno())
        if not replace:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        self.part.replace(path)  # a link is replaced, not followed


@contextmanager
def reserved(directory: Path, number: int) -> Iterator[list[Reserved]]:
    """Room for so many files in this directory; what is not written is gone afterwards. Raises ServiceError."""
    rooms: list[Reserved] = []
    try:
        try:
            rooms.extend(Reserved(directory) for _ in range(number))
        except OSError as error:
            raise ServiceError(
                Kind.INVALID,
                "directory_unusable",
                f"Nothing can be written in {directory} ({error.strerror}); nothing was exported.",
                field="out",
            ) from error
        yield rooms
    finally:
        for room in rooms:
            room.part.unlink(missing_ok=True)


def require_free(path: Path, *, replace: bool) -> None:
    """Raises ServiceError where something has this name already."""
    if path.is_dir() and not path.is_symlink():
        raise ServiceError(Kind.INVALID, "is_directory", f"{path} is a directory; nothing was exported.", field="out")
    if not replace and os.path.lexists(path):
        raise ServiceError(
            Kind.CONFLICT,
            "file_exists",
            f"{path} is there already; nothing was exported. Name another file, or replace it with --force.",
            field="out",
        )
