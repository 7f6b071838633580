"""A whole demo run on a host whose only wire leads to nobody: nothing leaves it, no question to a name server."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.demo.state import DemoState
from tests.faults.wire import NAME_SERVER, SOMEBODY, SOMEBODY_6, WIRE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = {"127.0.0.1", "::1"}

Report = Mapping[str, Any]


def on_a_wire_to_nobody(directory: Path, *command: str) -> Report:
    """Run `command` there. Fails where that cannot be done: a packet that nobody looked for was not seen."""
    report = directory / "wire.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST_")}
    # As an ordinary user one is root in a namespace of one's own, and oneself again for the command.
    ordinary = os.geteuid() != 0
    become_root = ["--user", "--map-root-user"] if ordinary else []
    become_oneself = (
        ["unshare", "--user", f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}"] if ordinary else []
    )
    enter = ["unshare", *become_root, "--net", "--mount", sys.executable, "-m", "tests.faults.wire", str(report)]
    done = subprocess.run(
        [*enter, *become_oneself, *command],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, f"network namespaces are needed (util-linux, iproute2): {done.stderr[-3000:]}"
    found: Report = json.loads(report.read_text(encoding="utf-8"))
    for seen in (found["before"], found["after"]):
        reached = {(host, port) for interface, host, _, port, _ in seen["sent"] if interface == WIRE}
        expected = {(SOMEBODY, 9), (SOMEBODY, 25), (SOMEBODY_6, 25), (NAME_SERVER, 53)}
        assert expected <= reached, "the sniffer did not see what was sent on purpose"
    assert found["during"]["missed"] == 0, "the sniffer was too slow"
    return found


@pytest.mark.requirement("D-31")
def test_no_packet_leaves_a_whole_demo_run(tmp_path: Path) -> None:
    """Sign-up, confirmation, digests, unsubscribe, and every process of the house."""
    demo = tmp_path / "demo"
    found = on_a_wire_to_nobody(
        tmp_path, sys.executable, "-m", "service", "demo", "--once", "--json", "--dir", str(demo)
    )
    assert found["code"] == 0, f"{found['said']}\n{found['complained']}"
    assert json.loads(found["said"])["ok"] is True
    sent = found["during"]["sent"]
    assert [packet for packet in sent if packet[0] == WIRE] == []
    assert {host for _, host, _, _, _ in sent} <= LOOPBACK
    assert [packet for packet in sent if packet[3] == 53] == [], "not even a name server on this machine is asked"

    # The sniffer was awake: it saw the house talk to itself, on its own ports.
    ports = DemoState(demo).kept_ports()
    seen = {port for _, _, protocol, port, _ in sent if protocol == "tcp"}
    assert set(ports.values()) <= seen
    logs = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in (demo / "logs").glob("*.log")}
    assert {"web.log", "worker-bulk.log", "worker-interactive.log", "worker-inbound.log", "beat.log"} <= logs.keys()
    for refused in ("egress_refused", "program_refused"):
        assert [name for name, text in logs.items() if refused in text] == [], "nobody had to be held back either"


@pytest.mark.requirement("D-31")
def test_what_wants_to_leave_is_seen_on_the_wire_and_held_back_by_the_guard(tmp_path: Path) -> None:
    """The same program without the guard and with it: the packets of the first, none of the second."""
    program = """
import socket, sys, urllib.request
if sys.argv[1] == "guarded":
    from service import egress
    egress.install(())
for url in ("http://updates.fjellsko.example/", "http://203.0.113.77/", "http://[2001:db8:77::7]/"):
    try:
        urllib.request.urlopen(url, timeout=0.3)
    except OSError as error:
        print(error)
"""
    sent = {}
    for how in ("open", "guarded"):
        found = on_a_wire_to_nobody(tmp_path, sys.executable, "-c", program, how)
        assert found["code"] == 0, found["complained"]
        sent[how] = {(host, port) for interface, host, _, port, _ in found["during"]["sent"] if interface == WIRE}
    assert sent["open"] == {(NAME_SERVER, 53), ("203.0.113.77", 80), ("2001:db8:77::7", 80)}
    assert sent["guarded"] == set()
