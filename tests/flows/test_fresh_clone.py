"""The README's command in a fresh clone: as root, and as an ordinary user whose home nobody else can enter."""

import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
PASSED_ON = ("PIP_", "UV_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_")
"""Where packages come from is the machine's business; everything else is as after a login."""
FIRST_RUN_SECONDS = 180
"""The promise for a first `make demo`; here it also runs the main job and stops again."""


def clone(directory: Path) -> Path:
    """What is committed, and nothing of this checkout's own state."""
    checkout = directory / "milepost"
    # No hard links: the clone may be given to somebody else, and the objects here must stay ours.
    subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)],
        check=True,
        capture_output=True,
    )
    return checkout


def login_environment(home: Path, path: str) -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    return passed | {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}


def demo_once(checkout: Path, environment: Mapping[str, str], prefix: list[str]) -> tuple[dict[str, Any], float]:
    """`make demo-once`; what it printed, and how long it took."""
    began = time.monotonic()
    done = subprocess.run(
        [*prefix, "make", "--no-print-directory", "demo-once"],
        cwd=checkout,
        env=dict(environment),
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    # pip's own lines come first.
    return json.loads(done.stdout[done.stdout.index("{\n") :]), time.monotonic() - began


def check(figures: dict[str, Any]) -> None:
    """The figures that the main job promises."""
    assert figures["signed_up"] == 1
    assert figures["confirmed"] == 1
    assert figures["digest_sent"] >= 1
    assert figures["digest_skipped_empty"] >= 1
    assert figures["second_run_repeats"] == 0
    assert figures["unsubscribed_one_click"] == 1
    assert figures["mails_after_unsubscribe"] == 0
    assert figures["links_that_changed_state_on_get"] == 0


def test_as_we_are(tmp_path: Path) -> None:
    """As root where the tests run as root, twice in a row; the second finds everything installed."""
    checkout = clone(tmp_path)
    environment = login_environment(tmp_path, os.environ["PATH"])
    figures, seconds = demo_once(checkout, environment, [])
    check(figures)
    assert seconds < FIRST_RUN_SECONDS
    again, _ = demo_once(checkout, environment, [])
    check(again)
    assert not subprocess.run(
        ["git", "status", "--porcelain"], cwd=checkout, check=True, capture_output=True, text=True
    ).stdout, "a run leaves nothing behind that git would keep"


@pytest.fixture
def private_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """The home of an ordinary user, mode 0700, and how to become that user: nothing, unless we are root."""
    if os.geteuid() != 0:
        home = tmp_path_factory.mktemp("home")
        home.chmod(0o700)
        yield home, []
        return
    name = f"milepost-{os.getpid()}"
    # Outside of pytest's directory, which only root can enter.
    home = Path("/var/tmp") / name
    subprocess.run(["useradd", "--create-home", "--home-dir", home, "--no-log-init", name], check=True)
    home.chmod(0o700)
    user = pwd.getpwnam(name)
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    try:
        yield home, become
    finally:
        subprocess.run(["userdel", "--force", name], check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def test_as_an_ordinary_user_with_a_private_home(private_home: tuple[Path, list[str]]) -> None:
    home, become = private_home
    checkout = clone(home)
    if become:
        owner = home.stat()
        for path in (checkout, *checkout.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    figures, seconds = demo_once(checkout, login_environment(home, "/usr/local/bin:/usr/bin:/bin"), become)
    check(figures)
    assert seconds < FIRST_RUN_SECONDS
