"""The journal: which messages this process has put on the wire, in a file that outlives it (design §4).

One file per worker process, locked (flock) for as long as the process lives, so whoever gets the lock knows that its
writer is dead. Notes are written into memory that the kernel shares with the file: it keeps them when the process is
killed, and no note costs a system call. They are not synced to disk, so a journal from before a restart of the machine
is not believed where it is silent: its synced header names the boot. What follows the last note is zeros.
"""

import fcntl
import json
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring_ascii
from pathlib import Path
from uuid import UUID

import structlog

from service.domain.deliveries import Notes
from service.domain.outcomes import Outcome, Phase

log = structlog.get_logger(__name__)

SUFFIX = ".journal"
ROOM = 4_000_000
"""Octets that a journal has from the beginning: more than it is emptied at."""
_PHASES = {phase: phase.value.encode() for phase in Phase}
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class FileJournal:
    """The journal of a living worker process. The port `Journal`, and what settling needs."""

    def __init__(self, directory: Path, worker_id: UUID) -> None:
        """Create the file, locked. Raises OSError when `directory` cannot be written."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.worker_id = worker_id
        self._lock = threading.Lock()
        """What was recorded is crossed out by another thread than the wire's."""
        self._path = directory / f"{worker_id}{SUFFIX}"
        header = _line({"worker": str(worker_id), "boot": _boot()})
        unborn = self._path.with_suffix(".new")
        self._file = os.open(unborn, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        # Locked before it has its name: nobody can take a journal that is being born for a dead one's.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._header = self._size = os.write(self._file, header)
        try:
            # Allocated now: a page that the disk has no room for ends the process when it is written to.
            os.posix_fallocate(self._file, 0, ROOM)
        except OSError:
            os.close(self._file)
            unborn.unlink()
            raise
        os.fsync(self._file)
        self._notes = mmap.mmap(self._file, ROOM)
        unborn.rename(self._path)
        _sync_directory(directory)

    @property
    def size(self) -> int:
        """Octets of notes."""
        return self._size - self._header

    def started(self, delivery_id: int) -> None:
        self._append(b'{"started":%d}\n' % delivery_id)

    def answered(self, outcome: Outcome) -> None:
        self._append(
            b'{"answered":[%d,"%s",%s,%s,%s,%s]}\n'
            % (
                outcome.delivery_id,
                _PHASES[outcome.phase],
                b"null" if outcome.code is None else b"%d" % outcome.code,
                _text(outcome.enhanced),
                _text(outcome.text),
                _text(outcome.relay),
            )
        )

    def settled(self, delivery_ids: Sequence[int]) -> None:
        """These are in the database: whatever is noted of them above does not count any more."""
        if delivery_ids:
            self._append(_line({"settled": list(delivery_ids)}))

    def read(self) -> Notes:
        return _parse(self._notes[: self._size])

    def clear(self) -> None:
        """Forget everything noted. Only after it has been committed to the database, and before the next claim."""
        with self._lock:
            self._notes[self._header : self._size] = bytes(self._size - self._header)
            self._size = self._header

    def remove(self) -> None:
        """The worker holds nothing any more: delete the file and let go of the lock."""
        self._path.unlink(missing_ok=True)
        self._notes.close()
        os.close(self._file)

    def _append(self, line: bytes) -> None:
        with self._lock:
            end = self._size + len(line)
            if end > len(self._notes):
                self._grow(end + ROOM)
            self._notes[self._size : end] = line
            self._size = end

    def _grow(self, size: int) -> None:
        try:
            os.posix_fallocate(self._file, 0, size)
        except OSError as error:
            reason = "The journal could not be written; the message was not sent"
            raise OSError(error.errno, reason, str(self._path)) from None
        self._notes.resize(size)


class DeadJournal:
    """The journal of a process that has died; ours to settle while the lock is held."""

    def __init__(self, path: Path, file: int) -> None:
        self.worker_id = UUID(path.stem)
        self._path = path
        self._file = file

    def read(self) -> Notes:
        return _parse(os.pread(self._file, os.fstat(self._file).st_size, 0))

    def remove(self) -> None:
        """Only after what it says has been committed to the database."""
        self._path.unlink(missing_ok=True)


def dead_journals(directory: Path) -> Iterator[DeadJournal]:
    """The journals in `directory` whose processes are gone, each locked while the caller looks at it."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        if not _names_a_worker(path):
            log.warning("not_a_journal", file=path.name)
            continue
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # settled by somebody else in this moment
        except OSError as error:
            log.error("journal_unreadable", file=path.name, error=error.strerror)  # noqa: TRY400
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield DeadJournal(path, file)
        except BlockingIOError:
            continue  # its process lives
        finally:
            os.close(file)


def _names_a_worker(path: Path) -> bool:
    try:
        return str(UUID(path.stem)) == path.stem
    except ValueError:
        return False


def _text(value: str | None) -> bytes:
    return b"null" if value is None else encode_basestring_ascii(value).encode()


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _parse(content: bytes) -> Notes:
    # What follows the last line end was being written when the process died.
    lines = content.partition(b"\0")[0].split(b"\n")[:-1]
    started: set[int] = set()
    outcomes: dict[int, Outcome] = {}
    complete = False
    for number, line in enumerate(lines):
        try:
            entry = json.loads(line)
            if number == 0:
                complete = entry.get("boot") == _boot() != ""
            elif "started" in entry:
                started.add(int(entry["started"]))
            elif "settled" in entry:
                for delivery_id in entry["settled"]:
                    started.discard(delivery_id)
                    outcomes.pop(delivery_id, None)
            else:
                delivery_id, phase, *said = entry["answered"]
                outcomes[delivery_id] = Outcome(delivery_id, Phase(phase), *said)
        except (ValueError, TypeError, LookupError, AttributeError):
            log.warning("journal_damaged", line=number + 1)
            return Notes(frozenset(started), outcomes, complete=False)
    return Notes(frozenset(started), outcomes, complete=complete)


def _boot() -> str:
    """Another value after every start of the machine; empty where the system has no such thing."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
