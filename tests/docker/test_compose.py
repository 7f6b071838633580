"""docker-compose.yml by rule: what it asks for, who reaches out, who sees which secret."""

from pathlib import Path
from typing import Any

import pytest

from service.domain.processors import check_relay, parse_register
from service.settings import SECRETS, Settings
from tests.docker.compose import ANSWERS, REGISTER, REHEARSAL, ROOT, docker_compose, files, mounts, read_compose

pytestmark = pytest.mark.ops

ONE_SHOT = {"secrets", "migrate"}
LONG_RUNNING = {
    "web",
    "worker-interactive",
    "worker-bulk",
    "worker-inbound",
    "beat",
    "postgres",
    "redis",
    "catcher",
}
REACH_OUT = {"worker-interactive", "worker-bulk", "worker-inbound"}
"""Two lanes send, the third reads feeds."""


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read_compose(tmp_path_factory.mktemp("compose"), REHEARSAL)


def test_every_service_of_the_house_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == ONE_SHOT | LONG_RUNNING


@pytest.mark.parametrize("variable", ANSWERS)
def test_a_missing_answer_is_named(variable: str, tmp_path: Path) -> None:
    answers = {name: value for name, value in ANSWERS.items() if name != variable}
    done = docker_compose(tmp_path, answers)
    assert done.returncode != 0
    assert f"set {variable} to " in done.stderr
    assert docker_compose(tmp_path, answers | {variable: ""}).returncode != 0, "empty is missing"


def test_the_example_asks_for_exactly_what_is_required() -> None:
    lines = (ROOT / "docker" / "env.example").read_text(encoding="utf-8").splitlines()
    assert {line.removesuffix("=") for line in lines if line.endswith("=") and not line.startswith("#")} == set(ANSWERS)


def test_every_setting_can_be_given(compose: dict[str, Any]) -> None:
    given: set[str] = set()
    for service in compose["services"].values():
        variables = set(service.get("environment") or {})
        given |= variables | {name.removesuffix("_FILE") for name in variables}
    fixed = {"web_host", "web_port"}  # arguments of the command, behind the published port
    missing = {f"MILEPOST_{name.upper()}" for name in set(Settings.model_fields) - fixed} - given
    assert not missing, f"pass these on in docker-compose.yml: {missing}"


def test_only_senders_and_the_reader_of_feeds_reach_out(compose: dict[str, Any]) -> None:
    def leads_out(network: dict[str, Any] | None) -> bool:
        network = network or {}
        masquerade = network.get("driver_opts", {}).get("com.docker.network.bridge.enable_ip_masquerade")
        return not network.get("internal", False) and masquerade != "false"

    ways_out = {name for name, network in compose["networks"].items() if leads_out(network)}
    assert ways_out == {"egress"}
    for name, service in compose["services"].items():
        # Without a network of its own a service would join Docker's default one, which leads out.
        assert service.get("network_mode") == "none" or service.get("networks"), name
        reaches_out = bool(ways_out & set(service.get("networks") or {}))
        assert reaches_out == (name in REACH_OUT), name


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if service.get("ports")}
    assert set(published) == {"web", "catcher"}
    for name, (port,) in published.items():
        host = port.get("host_ip") if isinstance(port, dict) else port.rpartition("127.0.0.1:")[1].rstrip(":")
        assert host == "127.0.0.1", name


def test_no_value_is_a_secret(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            secret = variable.removeprefix("MILEPOST_").lower() in SECRETS or variable.endswith(("PASSWORD", "KEY"))
            assert not (secret and value), f"{name}: {variable} must come from a file in a volume"


def test_who_serves_cannot_become_the_owner_of_the_tables(compose: dict[str, Any]) -> None:
    may = {name for name, service in compose["services"].items() if "owner-secrets" in mounts(service)}
    assert may == {"secrets", "migrate"}
    asks = {
        name
        for name, service in compose["services"].items()
        if "MILEPOST_OWNER_DATABASE_URL_FILE" in (service.get("environment") or {})
    }
    assert asks == {"migrate"}


@pytest.mark.requirement("D-01")
def test_who_rules_the_database_reaches_neither_the_keys_nor_the_checkpoints(compose: dict[str, Any]) -> None:
    """Its superuser can read every file of its container; the secret key is in `secrets` and `owner-secrets`."""
    assert set(mounts(compose["services"]["postgres"])) == {"database", "database-secrets"}


def test_only_the_one_shot_writes_secrets(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume, (_, writable) in mounts(service).items():
            if "secrets" in volume:
                assert writable == (name == "secrets"), name


@pytest.mark.parametrize("name", sorted(LONG_RUNNING))
def test_what_stays_is_watched_and_restarted(name: str, compose: dict[str, Any]) -> None:
    service = compose["services"][name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(ONE_SHOT | LONG_RUNNING))
def test_nobody_may_more_than_needed(name: str, compose: dict[str, Any]) -> None:
    service = compose["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if service["image"].startswith("milepost:"):
        assert service["user"] == "milepost"
        assert service["read_only"] is True
        assert not service.get("cap_add")


def test_state_survives_in_named_volumes(compose: dict[str, Any]) -> None:
    mounted = {volume for service in compose["services"].values() for volume in mounts(service)}
    assert mounted == set(compose["volumes"])
    for lane in ("interactive", "bulk", "inbound"):
        assert mounts(compose["services"][f"worker-{lane}"])["state"][1], "the journals must outlive the container"
        assert mounts(compose["services"][f"worker-{lane}"])["ledger"][1], "checkpoints and erasures are appended"
    assert mounts(compose["services"]["web"])["ledger"] == ("/var/lib/milepost-ledger", False), "it only reads them"


@pytest.mark.requirement("D-21")
def test_everybody_who_is_wired_reads_the_register_of_processors(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        file = (service.get("environment") or {}).get("MILEPOST_PROCESSORS_FILE")
        assert dict(files(service).values()) == ({file: False} if file else {}), name
    assert (compose["services"]["web"]["environment"])["MILEPOST_PROCESSORS_FILE"] == "/etc/milepost/processors.toml"


@pytest.mark.requirement("D-21")
def test_the_example_of_the_register_can_be_used() -> None:
    """As it is for a rehearsal; what is commented out is right as well."""
    example = REGISTER.read_text(encoding="utf-8")
    assert check_relay(parse_register(example), "catcher").self_operated
    entries = [line[1:] for line in example.splitlines() if line.startswith("#") and not line.startswith("# ")]
    register = parse_register("\n".join(entries))
    assert [processor.name for processor in register] == ["Fjellpost AS", "Fjellhost AS"]
    assert check_relay(register, "smtp.fjellpost.example").log_days == 14


def test_the_image_is_one_and_holds_no_secret() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("FROM python:3.1") for line in lines) == 2
    assert any("--require-hashes -r requirements/run.txt" in line for line in lines)
    assert any("--no-deps --no-build-isolation ." in line for line in lines)
    last_user = [line for line in lines if line.startswith("USER ")][-1]
    assert last_user == "USER milepost"
    assert not [line for line in lines if line.startswith(("ARG", "ENV")) and "MILEPOST_" in line]


def test_the_build_sees_what_the_dockerfile_copies_and_no_more() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert "*" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert allowed == copied
