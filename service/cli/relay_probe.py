"""`milepost probe send` and `compare`: whether the relay carries mails as they are or changes them (D-34)."""

import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.console import ExitCode, Json, note, say, show_json
from service.cli.opening import opened, read_settings
from service.errors import Kind, ServiceError

if TYPE_CHECKING:
    from service.bootstrap import Container
    from service.domain.outcomes import Outcome

FOLDER = "probes"


app = typer.Typer(help="Whether the relay leaves mails alone.", no_args_is_help=True)


@app.command()
def send(
    to: Annotated[str, typer.Option(help="A mailbox of yours, at another provider than the relay.")],
    json: Json = False,
) -> None:
    """Send one mail like a campaign's through the relay, and keep its bytes. Its links act for nobody."""
    with opened("probe") as container:
        path = _send(container, to)
    if json:
        show_json({"sent": path})
    else:
        say(str(path))
        note("When it has arrived, save its source (“show original”) to a file: `milepost probe compare FILE`.")


@app.command()
def compare(
    file: Annotated[Path, typer.Argument(help="The source of the mail as it arrived.", show_default=False)],
    sent: Annotated[Path | None, typer.Option(help="As `probe send` kept it. Default: the newest.")] = None,
    json: Json = False,
) -> None:
    """Compare what arrived with what was sent, header by header and byte by byte.

    Exit code 4 if the relay changed it. What hops are meant to add (Received, signatures, X-…) is no change.
    """
    from service.domain.relay_probes import compare as find_changes

    kept = sent or _newest(read_settings().state_dir)
    changes = find_changes(_read(kept), _read(file))
    if json:
        show_json({"sent": kept, "received": file, "changes": changes})
    else:
        for change in changes:
            say(change)
        if not changes:
            say("The relay carried it as it was sent.")
    if changes:
        raise typer.Exit(ExitCode.UNFINISHED)


class _NoJournal:
    """Nobody sends a probe again, so nobody has to know whether it was on the wire."""

    def started(self, delivery_id: int) -> None:
        pass

    def answered(self, outcome: "Outcome") -> None:
        pass


def _send(container: "Container", to: str) -> Path:
    """Raises ServiceError if the relay does not take it; then nothing is kept."""
    from service.bootstrap import get_relays
    from service.domain.addresses import parse_address
    from service.domain.words import Language, MailKind
    from service.mail.samples import load_sample
    from service.mail.smtp import SmtpTransport

    settings = container.settings
    letter = replace(
        load_sample(MailKind.CAMPAIGN, Language.EN),
        test=True,
        delivery_id=0,
        address=parse_address(to, reserved=True).address,
        message_id=f"{secrets.token_hex(16)}@{settings.public_host}",
    )
    message = container.writer.write(letter, container.clock.now())
    relay, _ = get_relays(settings)
    transport = SmtpTransport(relay, _NoJournal())
    try:
        [outcome] = filter(None, transport.send([message]))
    finally:
        transport.close()
    if outcome.code is None or outcome.code // 100 != 2:  # noqa: PLR2004  RFC 5321 §4.2.1
        raise ServiceError(
            Kind.UNAVAILABLE,
            "probe_refused",
            f"The relay did not take the probe ({outcome.code or 'no answer'} {outcome.text}); nothing was sent or "
            "kept. `milepost doctor` looks at the relay.",
        )
    return _keep(settings.state_dir / FOLDER, letter.message_id, message.data)


def _keep(folder: Path, message_id: str, data: bytes) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{message_id.partition('@')[0]}.eml"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return path


def _newest(state_dir: Path) -> Path:
    kept = sorted((state_dir / FOLDER).glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    if not kept:
        raise ServiceError(
            Kind.NOT_FOUND,
            "no_probe",
            f"No probe is kept in {state_dir / FOLDER}; nothing was compared. `milepost probe send` sends one.",
        )
    return kept[-1]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServiceError(
            Kind.INVALID, "file_unreadable", f"{path} cannot be read ({error.strerror}); nothing was compared."
        ) from None
