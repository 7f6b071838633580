"""`milepost consent prove`, `check` and `key`: one person's consent as a document for a court, and whether it holds."""

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.console import ExitCode, Json, note, say, show_json
from service.cli.opening import opened, opened_to_act, operator_name
from service.errors import Kind, ServiceError

if TYPE_CHECKING:
    from service.cli.private_files import Reserved
    from service.usecases.proving import Made

app = typer.Typer(help="Consent as evidence.", no_args_is_help=True)
SUFFIXES = (".html", ".json")
LARGEST_MIB = 64
"""A proof of thousands of events is far smaller."""


@app.command()
def prove(
    address: Annotated[str, typer.Argument(help="The address that the person names.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit log, without addresses.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Write this file only, .html or .json. Default: both, in this directory."),
    ] = None,
    subject: Annotated[
        int | None,
        typer.Option(help="This subject only, where several had the mailbox. Default: all.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --out if it is there.")] = False,
    json: Json = False,
) -> None:
    """Write the whole proof of one person's consent: a page to print and the same as JSON. Also for an erased person.

    Leaves an entry in the audit log. With --json the document is printed and no file is written.
    """
    from service.cli.private_files import require_free, reserved

    if out is not None and out.suffix not in SUFFIXES:
        raise ServiceError(
            Kind.INVALID, "suffix_unknown", f"{out} ends in neither .html nor .json; no proof was made.", field="out"
        )
    if json:
        made = _make(address, reason, subject)
        show_json(made.proof)
    else:
        if out is not None:
            require_free(out, replace=force)
        with reserved(out.parent if out else Path(), 1 if out else len(SUFFIXES)) as rooms:
            made = _make(address, reason, subject)
            paths = [out] if out else [Path(f"consent-proof-{made.number}{suffix}") for suffix in SUFFIXES]
            for room, path in zip(rooms, paths, strict=True):
                _write(room, path, made, replace=force)
    _warn_of_unsealed(made.proof)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A proof as JSON.", show_default=False)],
    public_key: Annotated[
        str | None,
        typer.Option(help="The publisher's public key, from `milepost consent key` or the publisher's site."),
    ] = None,
    json: Json = False,
) -> None:
    """Check an exported proof: every hash, the chain, the words, the mail, the path, the signatures.

    Needs the file alone: no database, no settings, no network. Exit code 1 names the first thing that does not hold.
    """
    from service.domain.proof_checks import DoesNotHoldError, check_proof, read_proof

    text = _read(file)
    try:
        holds = check_proof(read_proof(text), public_key)
    except DoesNotHoldError as error:
        reason = _visible(str(error))
        if json:
            show_json({"holds": False, "reason": reason})
        else:
            note(f"The proof does not hold. {reason}")
        raise typer.Exit(ExitCode.REFUSED) from error
    if json:
        show_json(
            {
                "holds": True,
                "subjects": holds.subjects,
                "events": holds.events,
                "public_key": holds.key,
                "key_was_given": holds.key_was_given,
            }
        )
    else:
        say(
            f"The proof holds: {holds.events} events of {holds.subjects} subject(s), {holds.checkpoints} checkpoint(s)."
        )
    if not holds.key_was_given:
        note(
            f"It was checked with the key that it brings itself: {_visible(holds.key)}\n"
            "That shows it is unchanged, not who made it. Compare the key with the publisher's, or give it with "
            "--public-key."
        )


@app.command()
def key(json: Json = False) -> None:
    """Print the public key that proofs and checkpoints are checked with. Publish it where nobody can swap it."""
    with opened() as container:
        public_key = container.keys.ledger.public_key.hex()
    if json:
        show_json({"public_key": public_key})
    else:
        say(public_key)


def _make(address: str, reason: str, subject: int | None) -> "Made":
    from service.usecases.proving import prove as make

    with opened_to_act() as container, container.transaction() as tx:
        return make(
            tx, container.keys, container.erasure_log, address, actor=operator_name(), reason=reason, only=subject
        )


def _write(room: "Reserved", path: Path, made: "Made", *, replace: bool) -> None:
    from service.looks.proofs import render_proof

    as_page = path.suffix == ".html"
    whole = render_proof(made.proof) if as_page else json_text.dumps(made.proof, ensure_ascii=False, indent=2)
    try:
        room.write(path, f"{whole.rstrip()}\n".encode(), replace=replace)
    except OSError as error:
        raise ServiceError(
            Kind.CONFLICT,
            "file_not_written",
            f"{path} was not written ({error.strerror}). Entry {made.number} of the audit log stands: make the proof "
            "again.",
            field="out",
        ) from error
    say(str(path))


def _read(file: Path) -> str:
    """Raises ServiceError for what cannot be read, and for more than anybody's proof."""
    try:
        with file.open("rb") as opened_file:
            data = opened_file.read(LARGEST_MIB * 2**20 + 1)
        if len(data) <= LARGEST_MIB * 2**20:
            return data.decode("utf-8")
        problem = f"it has more than {LARGEST_MIB} MiB"
    except (OSError, UnicodeError) as error:
        problem = _visible(str(error))
    raise ServiceError(
        Kind.INVALID, "file_unreadable", f"{file} cannot be read ({problem}); nothing was checked.", field="file"
    )


def _visible(text: str) -> str:
    """Words that may be the file's own, so that they tell a terminal nothing but themselves."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _warn_of_unsealed(proof: dict[str, Any]) -> None:
    from service.domain.proof_checks import list_unsealed

    if unsealed := list(list_unsealed(proof)):
        note(
            f"{len(unsealed)} event(s) are not sealed yet; `milepost consent check` will say so. "
            "Make the proof again in two minutes."
        )
