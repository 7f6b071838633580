"""The files outside the database: nothing half-written counts, nobody's line is lost, nobody else reads them."""

import multiprocessing
import os
from pathlib import Path

import pytest

from service.store.append_only import BLOCK, AppendOnlyFile


@pytest.fixture
def file(tmp_path: Path) -> AppendOnlyFile:
    return AppendOnlyFile(tmp_path / "ledger" / "checkpoints.jsonl")


def test_lines_come_back_in_order(file: AppendOnlyFile) -> None:
    assert (file.exists(), file.last(), list(file.lines())) == (False, None, [])
    file.append("one")
    file.append("zwei – ½")
    assert (file.exists(), file.last(), list(file.lines())) == (True, "zwei – ½", ["one", "zwei – ½"])


def test_nobody_else_can_read_it(file: AppendOnlyFile) -> None:
    file.append("one")
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_the_last_line_may_be_of_any_length(file: AppendOnlyFile, length: int) -> None:
    file.append("short")
    file.append("x" * length)
    assert file.last() == "x" * length


def test_a_torn_line_was_never_appended(file: AppendOnlyFile) -> None:
    file.append("one")
    with file.path.open("a") as torn:
        torn.write('{"half":')
    assert (file.last(), list(file.lines())) == ("one", ["one"])
    file.append("two")
    assert file.path.read_text() == "one\ntwo\n"


def test_a_file_of_nothing_but_a_torn_line_is_begun_again(file: AppendOnlyFile) -> None:
    file.path.parent.mkdir()
    file.path.write_text("half")
    assert file.last() is None
    file.append("one")
    assert file.path.read_text() == "one\n"


@pytest.mark.parametrize("line", ["", "two\nlines"])
def test_what_is_not_one_line_is_refused(file: AppendOnlyFile, line: str) -> None:
    with pytest.raises(ValueError, match="a line"):
        file.append(line)
    assert list(file.lines()) == []


def _count_on(path: Path, times: int) -> None:
    for _ in range(times):
        with AppendOnlyFile(path).locked() as held:
            held.append(str(int(held.last or 0) + 1))


def test_writers_take_turns(file: AppendOnlyFile) -> None:
    """Each line follows from the one before it, whoever wrote that."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_count_on, args=(file.path, 25)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert list(file.lines()) == [str(number) for number in range(1, 101)]


def test_a_line_that_did_not_fit_leaves_no_trace(file: AppendOnlyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.append("one")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    with pytest.raises(OSError, match="nothing was appended"):
        file.append("second")
    monkeypatch.undo()
    assert file.path.read_text() == "one\n"
