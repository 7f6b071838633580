"""Debian packages that are unpacked, not installed: Debian's mail servers conflict with each other.

`python3 tests/mtas/packages.py` fetches all that the tests use (as root after `apt-get update`, as .ci/run does). The
tests fetch what is missing by themselves. Needs nothing but Python and apt.
"""

import fcntl
import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

KEPT = Path(__file__).resolve().parents[2] / "var" / "debian"
"""Where packages are kept between runs."""

POSTFIX = ("postfix", "libsasl2-modules", "libsasl2-modules-db", "sasl2-bin")
EXIM = ("exim4-daemon-light", "exim4-base")
OPENSMTPD = ("opensmtpd",)
PERL_DKIM = ("libmail-dkim-perl",)


class PackagesError(AssertionError):
    """A test that needs packages which cannot be had has failed; it is not skipped."""


def unpack(names: Sequence[str], root: Path) -> None:
    """Into `root`, with everything that they need and this system has not installed."""
    for package in fetch(names):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
            # Directories of the root may be links (/lib to /usr/lib): they stay.
            tar = ["tar", "--extract", "--keep-directory-symlink", "--directory", root]
            subprocess.run(tar, stdin=archive.stdout, check=True)
        if archive.returncode:
            raise PackagesError(f"{package.name} cannot be unpacked")


@functools.cache
def fetch(names: Sequence[str]) -> list[Path]:
    """The packages and what they need, as files."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with _alone(), tempfile.TemporaryDirectory() as empty:
        needed = sorted({*names, *_not_installed(names)})
        # Elsewhere, for it names no file that is there.
        listing = _apt("download", "--print-uris", *needed, directory=Path(empty))
        files = re.findall(r"^'[^']+' (\S+\.deb) ", listing, re.MULTILINE)
        if len(files) != len(needed):
            raise PackagesError(f"apt knows {len(files)} of {len(needed)} packages ({' '.join(needed)})")
        paths = [KEPT / file for file in files]
        missing = [path.name.split("_")[0] for path in paths if not path.exists()]
        if missing:
            _apt("download", *missing)
        return paths


def _not_installed(names: Sequence[str]) -> list[str]:
    """What an installation would bring along here."""
    plan = _apt("install", "--simulate", "--no-install-recommends", *names)
    return re.findall(r"^Inst (\S+)", plan, re.MULTILINE)


def _apt(*words: str, directory: Path = KEPT) -> str:
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(
        ["apt-get", *words], cwd=directory, env=environment, check=False, capture_output=True, text=True, timeout=280
    )
    if done.returncode:
        raise PackagesError(f"apt-get {' '.join(words)} failed (as root: apt-get update): {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def _alone() -> Iterator[None]:
    """Test files run beside each other."""
    with (KEPT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    if os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "--quiet", "--quiet"], check=True)
    try:
        for group in (POSTFIX, EXIM, OPENSMTPD, PERL_DKIM):
            print(*(path.name for path in fetch(group)), sep="\n")  # noqa: T201
    except PackagesError as error:
        sys.exit(str(error))
