"""The settings of the demo's processes. What makes it safe stands here: the relay is the catcher on loopback."""

import os
from collections.abc import Mapping
from pathlib import Path

from service.demo.processes import MARK
from service.demo.state import DemoState

PREFIX = "MILEPOST_"


def demo_settings(state: DemoState, ports: Mapping[str, int], app_url: str, redis_url: str) -> dict[str, str]:
    """MILEPOST_* for every process and for commands in another terminal. The owner's URL is nobody's business here."""
    hub = f"http://localhost:{ports['hub']}"
    values = {
        "environment": "demo",
        "database_url": app_url,
        "redis_url": redis_url,
        "secret_key": state.secret("secret_key"),
        "state_dir": str(state.work),
        "public_url": f"http://localhost:{ports['web']}",
        "cors_origins": hub,
        "web_host": "127.0.0.1",
        "web_port": str(ports["web"]),
        "controller_name": "Fjellsko Sport AS",
        "controller_address": "Løypa 1, 0000 Fjellby, Norway",
        "controller_contact": "privacy@fjellsko.example",
        "jurisdiction": "Norway (EEA)",
        "supervisory_authority": "The data protection authority of Norway",
        "storage_location": "This machine (a demonstration)",
        "site_url": hub,
        "sender_name": "Fjellsko Training Hub",
        "sender_address": "training@fjellsko.example",
        "bounce_domain": "bounces.fjellsko.example",
        "relay_host": "127.0.0.1",
        "relay_port": str(ports["smtp"]),
        "relay_tls": "none",
        "processors_file": str(Path(__file__).parent / "processors.toml"),
        "helo_name": "milepost.fjellsko.example",
        "signup_check_dns": "false",
        # Everybody comes from this machine, and `demo --once` any number of times in a row.
        "signup_network_per_hour": "100000",
        "content_hosts": "localhost",
        "content_private_hosts": "localhost",
        "log_format": "console",
    }
    return {PREFIX + name.upper(): value for name, value in values.items()}


def child_environment(state: DemoState, settings: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a child: ours without any other MILEPOST_*, the demo's settings, and the mark."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return inherited | dict(settings) | {MARK: str(state.directory), "PYTHONUNBUFFERED": "1"}
