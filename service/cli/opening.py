"""How a command gets its settings and its container; without any setting, those of a demo that runs here."""

import getpass
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.cli.console import note

if TYPE_CHECKING:
    from service.bootstrap import Container
    from service.settings import Settings


def read_settings(*, or_demo: bool = True) -> "Settings":
    """The settings of this process. A child that is started later sees the same ones. Raises ConfigurationError.

    A command that stays, or alters a database, works on what it was told and on nothing found by chance: or_demo=False.
    """
    from service import settings

    if or_demo:
        use_demo_if_alone()
    loaded = settings.load()
    from service.bootstrap import guard_egress

    guard_egress(loaded)
    return loaded


def use_demo_if_alone() -> None:
    """With no MILEPOST_* variable set, a demo that runs on this machine is what the person means."""
    if any(name.startswith("MILEPOST_") for name in os.environ):
        return
    from service.demo import state

    environment = state.load_environment()
    if environment:
        os.environ.update(environment)
        note("No MILEPOST_* variable is set: using the demo that runs here.")


@contextmanager
def opened(process: str = "cli") -> "Iterator[Container]":
    """A container for the length of one command."""
    settings = read_settings()
    from service.bootstrap import build_container

    container = build_container(settings, process=process)
    if settings.log_level == "info":
        # What a person asked for is the output; what goes well is worth a line only to processes that stay.
        logging.getLogger().setLevel(logging.WARNING)
    try:
        yield container
    finally:
        container.engine.dispose()


@contextmanager
def opened_to_act() -> "Iterator[Container]":
    """The same for a command that acts on what is stored of readers, or has them mailed.

    Raises ConfigurationError where web, workers and beat would not start: a backup must not bring anybody back.
    """
    from service.errors import ConfigurationError
    from service.usecases.starting import list_obstacles

    with opened() as container:
        with container.transaction() as tx:
            troubles = list_obstacles(
                tx, container.keys, erasure_file=container.erasure_log, checkpoint_file=container.checkpoint_file
            )
        if troubles:
            raise ConfigurationError("\n".join((*troubles, "Nothing was done (docs/privacy.md).")))
        yield container


def operator_name() -> str:
    """Who a campaign says it was ordered or paused by."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "cli"
