"""How to run PostgreSQL's programs when we are root, which they refuse: three ways, the least intrusive first.

No way creates a system user or changes the mode of a directory above ours (dependencies.md §1).
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import ConfigurationError

PLAIN_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Way:
    """What to put before a command, and who must own the files that it works on."""

    name: str
    prefix: tuple[str, ...]
    uid: int
    gid: int


def candidates() -> Iterator[Way]:
    """The ways that exist here in principle; whether one works is tried by `find_way`."""
    if os.geteuid() != 0:
        yield Way("as we are", (), os.geteuid(), os.getegid())
        return
    # In a namespace of its own the server believes to be user 1000, while its files stay root's and private.
    yield Way("user namespace", ("unshare", "--user", "--map-user=1000", "--map-group=1000"), 0, 0)
    user = _plain_user()
    if user is None:
        return
    become = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    # With this one capability a plain user reaches a virtual environment below a private home.
    reach = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    yield Way("plain user who reaches private paths", (*become, *reach), user.pw_uid, user.pw_gid)
    yield Way("plain user", become, user.pw_uid, user.pw_gid)


def find_way(binaries: Path, directories: Sequence[Path], ways: Sequence[Way] | None = None) -> Way:
    """The first way that can run `binaries` and write to `directories`, which are given to its user.

    Raises ConfigurationError if there is none.
    """
    for way in candidates() if ways is None else ways:
        if way.prefix and shutil.which(way.prefix[0]) is None:
            continue
        for directory in directories:
            _give(directory, way)
        if _works(way, binaries, directories):
            return way
    raise ConfigurationError(
        "PostgreSQL refuses to run as root, this container forbids user namespaces and the like, and no plain user "
        f"can reach {binaries} and {directories[0]}. Nothing was started. Run the command as an ordinary user, or set "
        "MILEPOST_DATABASE_URL to a PostgreSQL server of your own."
    )


def _works(way: Way, binaries: Path, directories: Sequence[Path]) -> bool:
    script = '"$0" --version && for d in "$@"; do test -w "$d" -a -x "$d" || exit 1; done'
    probe = [*way.prefix, "sh", "-c", script, str(binaries / "postgres"), *map(str, directories)]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def _give(directory: Path, way: Way) -> None:
    """Change owners, if an earlier start went another way."""
    if directory.stat().st_uid == way.uid or os.geteuid() != 0:
        return
    for folder, _, files in os.walk(directory):
        os.chown(folder, way.uid, way.gid)
        for name in files:
            os.chown(Path(folder) / name, way.uid, way.gid, follow_symlinks=False)


def _plain_user() -> pwd.struct_passwd | None:
    for name in PLAIN_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None
