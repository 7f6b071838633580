"""The journal: what it says after every kind of death, and that nobody settles a living worker's."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from service.domain.outcomes import Outcome, Phase
from service.mail import journal as journal_module
from service.mail.journal import FileJournal, dead_journals

ANSWER = Outcome(2, Phase.EOM, 250, "2.0.0", "queued as ünicode", "relay:25")


def test_what_was_noted_is_read_again(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, uuid4())
    assert journal.read().complete
    journal.started(1)
    journal.started(2)
    journal.answered(ANSWER)
    notes = journal.read()
    assert (notes.started, dict(notes.outcomes), notes.complete) == ({1, 2}, {2: ANSWER}, True)
    journal.clear()
    assert (journal.read().started, dict(journal.read().outcomes), journal.read().complete) == (set(), {}, True)
    journal.started(3)
    assert journal.read().started == {3}
    journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_database_is_not_believed_again(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, uuid4())
    for number in (1, 2, 3):
        journal.started(number)
    journal.answered(ANSWER)
    journal.settled([2, 3])
    assert (journal.read().started, dict(journal.read().outcomes)) == ({1}, {})
    journal.started(2)
    assert (journal.read().started, dict(journal.read().outcomes)) == ({1, 2}, {}), "claimed anew"
    assert journal.size > 0
    journal.clear()
    assert journal.size == 0
    journal.remove()


def test_a_living_workers_journal_is_left_alone(tmp_path: Path) -> None:
    living = FileJournal(tmp_path, uuid4())
    assert list(dead_journals(tmp_path)) == []
    living.remove()


def test_no_directory_is_no_journal(tmp_path: Path) -> None:
    assert list(dead_journals(tmp_path / "missing")) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from uuid import UUID
from service.mail.journal import FileJournal
from service.domain.outcomes import Outcome, Phase
journal = FileJournal(Path(sys.argv[1]), UUID(sys.argv[2]))
journal.started(1)
journal.started(2)
journal.answered(Outcome(2, Phase.EOM, 250, "2.0.0", "queued as ünicode", "relay:25"))
journal.started(3)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path: Path) -> UUID:
    """A worker that was killed while two messages were on the wire and one had been answered."""
    worker_id = uuid4()
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(worker_id)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    return worker_id


def test_kill_nine_loses_nothing_of_it(tmp_path: Path, killed: UUID) -> None:
    for journal in dead_journals(tmp_path):
        assert journal.worker_id == killed
        assert list(dead_journals(tmp_path)) == [], "locked while we look at it"
        notes = journal.read()
        assert (notes.started, dict(notes.outcomes), notes.complete) == ({1, 2, 3}, {2: ANSWER}, True)
    assert [journal.worker_id for journal in dead_journals(tmp_path)] == [killed], "kept until removed"
    for journal in dead_journals(tmp_path):
        journal.remove()
    assert list(dead_journals(tmp_path)) == []


def test_a_torn_last_line_says_nothing(tmp_path: Path, killed: UUID) -> None:
    path = tmp_path / f"{killed}.journal"
    path.write_bytes(path.read_bytes() + b'{"started":4')
    (journal,) = [entry.read() for entry in dead_journals(tmp_path)]
    assert journal.started == {1, 2, 3}
    assert journal.complete


@pytest.mark.parametrize("damage", [b"", b"\x00\x00\x00\n", b'{"started":1}\n', b"[1]\n"])
def test_a_journal_that_is_damaged_or_lost_its_beginning_is_not_complete(
    tmp_path: Path, killed: UUID, damage: bytes
) -> None:
    (tmp_path / f"{killed}.journal").write_bytes(damage)
    (notes,) = [entry.read() for entry in dead_journals(tmp_path)]
    assert not notes.complete


def test_damage_in_the_middle_is_not_complete_and_keeps_what_can_be_read(tmp_path: Path, killed: UUID) -> None:
    path = tmp_path / f"{killed}.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"?\n", *lines[2:]]))
    (notes,) = [entry.read() for entry in dead_journals(tmp_path)]
    assert (notes.started, notes.complete) == ({1}, False)


def test_after_a_restart_of_the_machine_silence_proves_nothing(
    tmp_path: Path, killed: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_boot = tmp_path / "boot_id"
    another_boot.write_text("11111111-2222-3333-4444-555555555555\n")
    monkeypatch.setattr(journal_module, "BOOT_ID", another_boot)
    (notes,) = [entry.read() for entry in dead_journals(tmp_path)]
    assert (notes.started, notes.complete) == ({1, 2, 3}, False)


def test_where_the_system_has_no_boot_id_silence_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "BOOT_ID", tmp_path / "nothing")
    journal = FileJournal(tmp_path / "journal", uuid4())
    assert not journal.read().complete
    journal.remove()


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module, "ROOM", 4096)
    journal = FileJournal(tmp_path, uuid4())
    with monkeypatch.context() as disk:
        disk.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="not sent") as refused:
            any(map(journal.started, range(4096)))
    assert refused.value.errno == errno.ENOSPC
    noted = journal.read()
    assert noted.complete
    assert 100 < len(noted.started) < 4096
    journal.started(5000)
    assert journal.read().started == noted.started | {5000}, "there is room again"
    journal.remove()


def test_a_full_disk_at_the_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        FileJournal(tmp_path, uuid4())
    assert list(tmp_path.iterdir()) == []


def test_a_journal_settled_by_another_in_this_moment_is_passed_over(
    tmp_path: Path, killed: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", gone)
    assert list(dead_journals(tmp_path)) == []


def test_what_is_no_journal_holds_up_no_mail(tmp_path: Path) -> None:
    (tmp_path / "notes.journal").write_text("left here by somebody")
    (tmp_path / f"{uuid4()}.journal").mkdir()
    assert list(dead_journals(tmp_path)) == []


@pytest.mark.parametrize("line", [b"[1]", b"7", b'{"started":[1]}', b'{"answered":{"phase":"lunch"}}', b"{}"])
def test_a_line_that_is_no_note_is_damage(tmp_path: Path, killed: UUID, line: bytes) -> None:
    journal = tmp_path / f"{killed}.journal"
    journal.write_bytes(journal.read_bytes().rstrip(b"\0") + line + b"\n")
    (notes,) = [entry.read() for entry in dead_journals(tmp_path)]
    assert (notes.started, notes.complete) == ({1, 2, 3}, False)
