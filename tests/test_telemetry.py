"""Whatever is written to a log, by us or by a library, holds no address."""

import json
import os
import subprocess
import sys

import pytest

ADDRESS = "ada.lovelace@mailbox.example"

PROGRAM = f"""
import logging, sys, threading, traceback, warnings
import structlog
from service import telemetry
telemetry.configure("debug", sys.argv[1])
ours, theirs = structlog.get_logger("ours"), logging.getLogger("theirs")
server = logging.getLogger("_granian")
server.addHandler(logging.StreamHandler(sys.stdout))
server.propagate = False
telemetry.configure("debug", sys.argv[1])
class Reader:
    def __repr__(self): return "<Reader {ADDRESS}>"
def fail(address):
    raise ValueError(f"Key (address)=({{address}}) already exists")
ours.debug("debugged", address="{ADDRESS}", nested={{"to": ["{ADDRESS}"], "{ADDRESS}": 1}}, reader=Reader())
ours.info("{ADDRESS} signed up")
theirs.debug("sent %s to %r", "a message", ("{ADDRESS}",))
theirs.warning("GET /r?address=ada.lovelace%40mailbox.example")
server.error("Application callable raised an exception: {ADDRESS}")
try:
    fail("{ADDRESS}")
except ValueError:
    ours.exception("failed", reader=Reader())
    theirs.exception("failed for {ADDRESS}", stack_info=True)
    server.exception("failed")
thread = threading.Thread(target=fail, args=["{ADDRESS}"])
thread.start(); thread.join()
fail("{ADDRESS}")
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_line_holds_an_address(form: str) -> None:
    done = subprocess.run(  # logging is a process's, so it is a process of its own
        [sys.executable, "-c", PROGRAM, form],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == "", "the web server's own handler is gone"
    written = done.stderr
    assert "lovelace" not in written.lower()
    assert written.count("already exists") >= 5, "also the two errors that nobody caught and Python itself prints"
    assert written.count("[address]") >= 14
    assert "Exception in thread" in written
    if form == "json":
        lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
        assert {line["logger"] for line in lines} == {"ours", "theirs", "_granian"}
        assert len(lines) == 8
