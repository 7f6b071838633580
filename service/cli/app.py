"""The command tree and what becomes of refusals: one line for people, one JSON object for scripts, an exit code."""


def run() -> None:
    raise SystemExit("not built yet")
