"""`milepost probe`: one mail through a real relay, kept as sent, compared with what came out."""

from pathlib import Path

import pytest

from service.domain.outcomes import Phase
from service.settings import Settings
from tests.cli.conftest import Milepost
from tests.contracts.relay import ScriptedRelay


@pytest.mark.requirement("D-34")
def test_a_probe_through_a_relay_and_what_came_out(
    milepost: Milepost, installation: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ScriptedRelay({}) as relay:
        monkeypatch.setenv("MILEPOST_RELAY_PORT", str(relay.port))
        sent = milepost("probe", "send", "--to", "me@mailbox.example", "--json")
    assert sent.code == 0, sent.err
    kept = Path(sent.document["sent"])
    assert kept.stat().st_mode & 0o777 == 0o600
    [taken] = relay.taken
    assert taken.rcpt_to == "me@mailbox.example"
    assert b"Subject: [Test] " in taken.data

    arrived = tmp_path / "arrived.eml"
    arrived.write_bytes(b"Received: from here\r\n" + taken.data)
    assert milepost("probe", "compare", arrived).code == 0
    arrived.write_bytes(taken.data.replace(b"List-Unsubscribe:", b"List-Removed:", 1))
    changed = milepost("probe", "compare", arrived, "--sent", kept, "--json")
    assert changed.code == 4
    assert any("list-unsubscribe is gone" in change for change in changed.document["changes"])


def test_refusals(milepost: Milepost, installation: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "no answer" in milepost("probe", "send", "--to", "me@mailbox.example").err, "nothing listens there"
    script = {"me@mailbox.example": (Phase.RCPT, 550, "5.1.1", "no such user")}
    with ScriptedRelay(script) as relay:
        monkeypatch.setenv("MILEPOST_RELAY_PORT", str(relay.port))
        refused = milepost("probe", "send", "--to", "me@mailbox.example")
    assert (refused.code, "550" in refused.err) == (1, True)
    assert milepost("probe", "compare", tmp_path / "none.eml").code == 1
    assert "No probe is kept" in milepost("probe", "compare", __file__).err
