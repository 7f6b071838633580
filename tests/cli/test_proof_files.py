"""The files that `milepost consent prove` writes and `check` reads: nothing overwritten, no link followed."""

import json
import os
from pathlib import Path

import pytest

from service.bootstrap import Container
from service.cli import proofs as commands
from service.store import audit
from tests.cli.conftest import Milepost, Ran
from tests.cli.test_proofs import REASON, container, reader

__all__ = ["container", "reader"]
pytestmark = pytest.mark.requirement("D-02")


def prove(milepost: Milepost, reader: str, file: Path, *more: str) -> Ran:
    return milepost("consent", "prove", reader, "--reason", REASON, "--out", file, *more)


def nothing_noted(container: Container) -> bool:
    with container.transaction() as tx:
        return audit.list_entries(tx) == []


def test_a_file_that_is_there_stays_as_it_is(
    milepost: Milepost, reader: str, container: Container, tmp_path: Path
) -> None:
    file = tmp_path / "proof.json"
    file.write_text("another proof")
    file.chmod(0o644)
    ran = prove(milepost, reader, file)
    assert (ran.code, file.read_text()) == (1, "another proof")
    assert "is there already; nothing was exported" in ran.err
    assert nothing_noted(container)
    assert prove(milepost, reader, file, "--force").code == 0
    assert json.loads(file.read_text())["asked_for"] == reader
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_not_followed(
    milepost: Milepost, reader: str, container: Container, tmp_path: Path, there: bool
) -> None:
    other = tmp_path / "other.json"
    if there:
        other.write_text("not ours")
    link = tmp_path / "proof.json"
    link.symlink_to(other)
    assert prove(milepost, reader, link).code == 1
    assert nothing_noted(container)
    assert prove(milepost, reader, link, "--force").code == 0
    assert not link.is_symlink()
    assert (other.read_text() if there else other.exists()) == ("not ours" if there else False)


def test_a_directory_that_cannot_be_written_to_is_found_before_anything_is_noted(
    milepost: Milepost, reader: str, container: Container, tmp_path: Path
) -> None:
    for file in (tmp_path / "none" / "proof.json", tmp_path / "none" / "proof.html"):
        ran = prove(milepost, reader, file)
        assert (ran.code, "Traceback" in ran.err) == (1, False)
        assert "nothing was exported" in ran.err
    (tmp_path / "directory.json").mkdir()
    assert "is a directory" in prove(milepost, reader, tmp_path / "directory.json", "--force").err
    assert nothing_noted(container)


def test_a_refusal_leaves_no_file_behind(milepost: Milepost, reader: str, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    directory.mkdir()
    assert prove(milepost, "nobody@fjell.no", directory / "proof.json").code == 1
    assert list(directory.iterdir()) == []
    assert prove(milepost, reader, directory / "proof.json").code == 0
    assert [path.name for path in directory.iterdir()] == ["proof.json"]


def test_a_disk_that_is_full_says_which_entry_stands(
    milepost: Milepost, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = prove(milepost, reader, tmp_path / "proof.json")
    assert ran.code == 1
    assert "No space left on device). Entry 1 of the audit log stands" in ran.err
    assert not (tmp_path / "proof.json").exists()


HIDING = "\x1b[2J\x1b]0;fine\x07\x9b2J\u202ethe proof holds"


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_what_a_file_says_moves_no_cursor(milepost: Milepost, tmp_path: Path, how: tuple[str, ...]) -> None:
    file = tmp_path / "proof.json"
    file.write_text(json.dumps({"format": "milepost-consent-proof/2", "public_key": "", "checkpoints": {HIDING: "{"}}))
    ran = milepost("consent", "check", file, *how)
    assert ran.code == 1
    said = ran.document["reason"] if how else ran.err.rstrip("\n")
    assert "the proof holds" in said, "it is quoted"
    assert said.isprintable()


def test_a_file_that_is_far_too_large_is_not_read(
    milepost: Milepost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "proof.json"
    with file.open("wb") as large:
        large.truncate(64 * 2**20 + 1)
    ran = milepost("consent", "check", file)
    assert ran.code == 1
    assert "it has more than 64 MiB); nothing was checked" in ran.err
    monkeypatch.setattr(commands, "LARGEST_MIB", 65)
    assert "more than" not in milepost("consent", "check", file).err
