"""The register of processors: read strictly, and asked about the relay before anything is mailed."""

import pytest

from service.bootstrap import build_container, get_relays
from service.domain.processors import Processor, check_keepers, check_relay, is_at_home, parse_register
from service.errors import ConfigurationError
from tests.conftest import SettingsMaker

ENTRY = """
[[processors]]
name = "Fjellpost AS"
purpose = "Hands our mail to mailboxes"
hosts = ["smtp.fjellpost.example"]
sees = ["addresses", "content of mails"]
country = "Norway"
third_country = false
reuse_of_data = "none"
log_days = 14
contract = "DPA 2026-03"
contact = "privacy@fjellpost.example"
"""


def test_an_entry() -> None:
    [found] = parse_register(ENTRY)
    assert found == Processor(
        name="Fjellpost AS",
        purpose="Hands our mail to mailboxes",
        hosts=("smtp.fjellpost.example",),
        sees=("addresses", "content of mails"),
        country="Norway",
        third_country=False,
        reuse_of_data="none",
        log_days=14,
        contract="DPA 2026-03",
        contact="privacy@fjellpost.example",
        self_operated=False,
    )
    assert check_relay([found], "SMTP.fjellpost.example") is found
    assert parse_register("") == ()


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('reuse_of_data = "none"', 'reuse_of_data = "analytics"', "nobody else uses their data"),
        ("log_days = 14", "log_days = 90", "log_days must be 0 to 30"),
        ("log_days = 14", 'log_days = "14"', "needs log_days (a whole number)"),
        ('country = "Norway"', "", "needs country (text)"),
        ('country = "Norway"', 'country = " "', "needs country (text)"),
        ('sees = ["addresses", "content of mails"]', "sees = [1]", "sees is a list of words"),
        ("third_country = false", 'third_country = false\nshares = "yes"', "unknown field shares"),
        ("[[processors]]", "[[processor]]", "tables only"),
        ("[[processors]]", "[[processors", "not TOML"),
    ],
)
@pytest.mark.requirement("D-34")
def test_what_is_refused(before: str, after: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing was started") as refusal:
        parse_register(ENTRY.replace(before, after))
    assert says in str(refusal.value)


def test_names_are_told_apart() -> None:
    with pytest.raises(ConfigurationError, match="same name"):
        parse_register(ENTRY + ENTRY)


@pytest.mark.requirement("D-21")
def test_a_relay_that_is_not_registered_is_not_used(make_settings: SettingsMaker, tmp_path) -> None:
    """No process is wired without it, and the message holds the text to add."""
    register = tmp_path / "processors.toml"
    register.write_text(ENTRY, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1 is not in the register") as refusal:
        build_container(make_settings(processors_file=str(register)))
    to_add = str(refusal.value).partition("\n\n")[2]
    assert check_relay(parse_register(to_add), "127.0.0.1").name
    with pytest.raises(ConfigurationError, match="is not in the register"):
        check_relay((), "127.0.0.1")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        build_container(make_settings(processors_file=str(tmp_path / "none.toml")))


@pytest.mark.requirement("D-21")
def test_the_second_relay_stands_in_the_register_too(make_settings: SettingsMaker, tmp_path) -> None:
    register = tmp_path / "processors.toml"
    register.write_text(ENTRY.replace("smtp.fjellpost.example", "127.0.0.1"), encoding="utf-8")
    one = make_settings(processors_file=str(register))
    two = make_settings(processors_file=str(register), relay2_host="localhost", relay2_tls="none")
    assert get_relays(one)[1] is None
    second = get_relays(two)[1]
    assert second is not None
    assert (second.host, second.port) == ("localhost", 587)
    with pytest.raises(ConfigurationError, match="localhost is not in the register"):
        build_container(two)
    with pytest.raises(ConfigurationError, match="relay2_tls=none"):
        make_settings(
            environment="production",
            public_url="https://news.fjellsko.example",
            signup_check_dns="true",
            relay2_host="smtp.fjellpost.example",
            relay2_tls="none",
        )


@pytest.mark.requirement("D-21")
@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("database_url", "postgresql://milepost_app@db.fjelldrift.example/milepost"),
        ("database_url", "postgresql://milepost_app@/milepost?host=127.0.0.1,db.fjelldrift.example"),
        ("owner_database_url", "postgresql://milepost_owner@db.fjelldrift.example/milepost"),
        ("redis_url", "rediss://:secret@db.fjelldrift.example:6380/0"),
    ],
)
def test_a_database_elsewhere_that_is_not_registered_is_not_used(
    field: str, url: str, make_settings: SettingsMaker, tmp_path
) -> None:
    """Readers are told that nobody else gets their data: who runs the machine of a database could."""
    settings = make_settings(**{field: url})
    with pytest.raises(ConfigurationError, match=r"db\.fjelldrift\.example, where .* nothing was started") as refusal:
        build_container(settings)
    to_add = str(refusal.value).partition("\n\n")[2]
    check_keepers(parse_register(to_add), ["DB.fjelldrift.example."])
    register = tmp_path / "processors.toml"
    assert settings.processors_file
    register.write_text(settings.processors_file.read_text(encoding="utf-8") + to_add, encoding="utf-8")
    build_container(make_settings(**{field: url, "processors_file": str(register)})).engine.dispose()


@pytest.mark.parametrize(
    ("host", "at_home"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("fd00::7", True),
        ("localhost", True),
        ("postgres", True),
        ("db.internal", True),
        ("9.9.9.9", False),
        ("2620:fe::fe", False),
        ("db.fjelldrift.example", False),
        ("internal.fjelldrift.example", False),
    ],
)
def test_what_is_on_a_network_of_our_own(host: str, at_home: bool) -> None:
    assert is_at_home(host) is at_home
