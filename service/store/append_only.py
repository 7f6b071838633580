"""A file of lines that only grows: checkpoints and erasures, kept outside the database.

Every line is on disk (fsync) before `append` returns. Writers take turns (flock), whatever process or container they
are in. A line that a crash left without its end was never appended: it is cut off before the next one.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

BLOCK = 64 * 1024


class Appender:
    """The file while it is locked: nobody else appends between looking at `last` and `append`."""

    def __init__(self, path: Path, file: int, size: int, last: str | None) -> None:
        self._path = path
        self._file = file
        self._size = size
        self.last = last
        """The newest line; None while there is none."""

    def append(self, line: str) -> None:
        """Raises OSError, with the file as it was, when the disk does not take the whole line."""
        if "\n" in line or not line:
            raise ValueError("a line is not empty and holds no line break")
        data = line.encode() + b"\n"
        written = os.write(self._file, data)
        if written != len(data):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, "The line could not be written; nothing was appended", str(self._path))
        os.fsync(self._file)
        self._size += written
        self.last = line


class AppendOnlyFile:
    """Lines of text in `path`, readable by this user only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: str) -> None:
        """Append one line durably, making file and directory if needed. Raises OSError."""
        with self.locked() as held:
            held.append(line)

    @contextmanager
    def locked(self) -> Iterator[Appender]:
        """For a line that depends on the one before it. Waits for whoever else appends."""
        file = self._open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = self._cut_torn_line(file)
            yield Appender(self.path, file, size, _last_line(file, size))
        finally:
            os.close(file)  # lets go of the lock

    def lines(self) -> Iterator[str]:
        """Every line, oldest first, without what is just being written. Empty if there is no file."""
        try:
            opened = self.path.open("rb")
        except FileNotFoundError:
            return
        with opened:
            for line in opened:
                if line.endswith(b"\n"):
                    # Whoever spoilt the file is told by the line's signature, not by a decoder.
                    yield line[:-1].decode(errors="replace")

    def last(self) -> str | None:
        """The newest line; None if there is none."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return _last_line(file, _whole_size(file))
        finally:
            os.close(file)

    def exists(self) -> bool:
        return self.path.exists()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        try:
            return os.open(self.path, flags)
        except FileNotFoundError:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self.path, flags | os.O_CREAT, 0o600)
        # The name is as durable as the lines: a file that a loss of power takes away again would look never begun.
        for directory in (self.path.parent, self.path.parent.parent):
            _sync_directory(directory)
        return file

    def _cut_torn_line(self, file: int) -> int:
        size = _whole_size(file)
        torn = os.fstat(file).st_size - size
        if torn:
            log.warning("torn_line_cut_off", file=self.path.name, octets=torn)
            os.ftruncate(file, size)
            os.fsync(file)
        return size


def _whole_size(file: int) -> int:
    """Up to and with the last line break."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - BLOCK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _last_line(file: int, size: int) -> str | None:
    if not size:
        return None
    tail = b""
    end = size - 1
    while end > 0:
        start = max(0, end - BLOCK)
        tail = os.pread(file, end - start, start) + tail
        _, found, line = tail.rpartition(b"\n")
        if found:
            return line.decode(errors="replace")
        end = start
    return tail.decode(errors="replace")


def _sync_directory(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
