"""`milepost dkim`: keys, their records, and which of them signs."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from service.bootstrap import dkim_keys
from service.errors import ConfigurationError
from service.settings import Settings
from tests.cli.conftest import Milepost


@pytest.fixture
def fresh(installation: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """An installation whose state directory is this test's own."""
    monkeypatch.setenv("MILEPOST_STATE_DIR", str(tmp_path))
    return installation.model_copy(update={"state_dir": tmp_path})


@pytest.mark.requirement("B-02", "B-10")
def test_from_no_key_to_the_second(milepost: Milepost, fresh: Settings) -> None:
    assert milepost("dkim", "show", "--json").document == {"keys": []}
    assert dkim_keys(fresh).signer() is None

    first = milepost("dkim", "new", "--json").document
    assert (first["signs"], first["type"]) == (False, "TXT")
    assert all(len(string) <= 255 for string in first["strings"])
    assert "".join(first["strings"]) == first["record"]
    public = load_der_public_key(base64.b64decode(first["record"].rpartition("p=")[2]))
    assert isinstance(public, rsa.RSAPublicKey)
    assert public.key_size == 2048
    [pem] = (fresh.state_dir / "dkim").glob("*.pem")
    assert pem.stat().st_mode & 0o777 == 0o600
    assert dkim_keys(fresh).signer() is None, "not yet: nobody can look it up"

    assert milepost("dkim", "rotate").code == 1
    assert milepost("dkim", "rotate", "--published", "--json").document["signs"]
    signer = dkim_keys(fresh).signer()
    assert signer is not None
    assert signer.selector == first["selector"]

    second = milepost("dkim", "new", "--json").document
    assert second["selector"] != first["selector"]
    assert milepost("dkim", "rotate", "--published", "--json").document["selector"] == second["selector"]
    keys = milepost("dkim", "show", "--json")
    assert [key["signs"] for key in keys.document["keys"]] == [False, True]
    assert "PRIVATE" not in keys.out
    assert milepost("dkim", "rotate", "--undo", "--json").document["selector"] == first["selector"]
    assert [key["signs"] for key in milepost("dkim", "show", "--json").document["keys"]] == [True, False]
    assert milepost("dkim", "rotate", "--published").code == 1, "there is no key that has not signed yet"


@pytest.mark.requirement("B-10")
def test_a_key_that_others_can_read_signs_nothing(milepost: Milepost, fresh: Settings) -> None:
    milepost("dkim", "new")
    milepost("dkim", "rotate", "--published")
    [pem] = (fresh.state_dir / "dkim").glob("*.pem")
    pem.chmod(0o644)
    with pytest.raises(ConfigurationError, match="read by others"):
        dkim_keys(fresh).signer()
    pem.chmod(0o600)
    pem.write_text("not a key")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        dkim_keys(fresh).signer()
    pem.unlink()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        dkim_keys(fresh).signer()


@pytest.mark.requirement("B-02")
def test_a_short_key_signs_nothing(milepost: Milepost, fresh: Settings) -> None:
    milepost("dkim", "new")
    milepost("dkim", "rotate", "--published")
    [pem] = (fresh.state_dir / "dkim").glob("*.pem")
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    pem.write_bytes(short.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigurationError, match="2048 bits"):
        dkim_keys(fresh).signer()
