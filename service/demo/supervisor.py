"""`milepost demo`: one supervisor per directory that starts the house, says where everything is, and stops it."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.demo.house import House, Say, StoppedError, say_on_stdout
from service.demo.state import DemoState

OK = 0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(state: DemoState) -> int:
    """Until Ctrl-C; the exit code. Raises ConfigurationError if it could not start, with everything stopped again."""
    state.prepare()
    if not state.acquire():
        say_on_stdout(f"The demo is running already (process {state.holder()}); nothing was started.")
        _say_pages(state, say_on_stdout)
        return OK
    began = time.monotonic()
    house = House(state, say_on_stdout)
    with stopping_on_signals(house.stop_asked):
        try:
            house.start()
            _say_pages(state, say_on_stdout)
            say_on_stdout(f"Ready after {time.monotonic() - began:.1f} s. Ctrl-C stops everything and keeps the data.")
            house.watch()
        except StoppedError:
            pass
        finally:
            say_on_stdout("Stopping …")
            house.stop()
            state.release()
    say_on_stdout("Stopped; nothing is left running. `make demo` starts it again with the same data.")
    return OK


@contextmanager
def stopping_on_signals(asked: threading.Event) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP ask to stop; pressing Ctrl-C again while things are being stopped does no harm."""
    before = {sign: signal.signal(sign, lambda *_: asked.set()) for sign in STOPPING}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _say_pages(state: DemoState, say: Say) -> None:
    ports = state.kept_ports()
    here = "" if state.is_default else f" (after: set -a; . {state.directory}/environment; set +a)"
    where = "" if state.is_default else f" --dir {state.directory}"
    say("")
    say(f"  Training hub, with the sign-up box  http://localhost:{ports['hub']}/")
    say(f"  Sign-up page                        http://localhost:{ports['web']}/subscribe")
    say(f"  Mail catcher                        http://localhost:{ports['catcher']}/")
    say("")
    say(f"  In another terminal, in this directory{here}:")
    say("    .venv/bin/milepost digest send hub        mail everybody what is new for them")
    say("    .venv/bin/milepost status                 how many there are of everything")
    say(f"    .venv/bin/milepost demo --once --json{where}     the main job once, by itself")
    say("")
    say("  Nothing here can reach a real inbox: every mail ends in the catcher. Sign-ups are not checked by DNS.")
    say("")
