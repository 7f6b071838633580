"""`milepost consent prove`, `check` and `key`: one person's consent as a document for a court, and whether it holds."""

import json as json_text
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.console import ExitCode, Json, note, say, show_json
from service.cli.opening import opened, opened_to_act, operator_name
from service.errors import Kind, ServiceError

app = typer.Typer(help="Consent as evidence.", no_args_is_help=True)
SUFFIXES = (".html", ".json")


@app.command()
def prove(
    address: Annotated[str, typer.Argument(help="The address that the person names.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit log, without addresses.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Write this file only, .html or .json. Default: both, in this directory."),
    ] = None,
    json: Json = False,
) -> None:
    """Write the whole proof of one person's consent: a page to print and the same as JSON. Also for an erased person.

    Leaves an entry in the audit log. With --json the document is printed and no file is written.
    """
    from service.usecases.proving import prove as make

    if out is not None and out.suffix not in SUFFIXES:
        raise ServiceError(
            Kind.INVALID, "suffix_unknown", f"{out} ends in neither .html nor .json; no proof was made.", field="out"
        )
    with opened_to_act() as container, container.transaction() as tx:
        made = make(tx, container.keys, address, actor=operator_name(), reason=reason)
    if json:
        show_json(made.proof)
    else:
        for path in [out] if out else [Path(f"consent-proof-{made.number}{suffix}") for suffix in SUFFIXES]:
            _write(path, made.proof)
            say(str(path))
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

    try:
        holds = check_proof(read_proof(file.read_text(encoding="utf-8")), public_key)
    except (OSError, UnicodeError) as error:
        raise ServiceError(
            Kind.INVALID, "file_unreadable", f"{file} cannot be read ({error}); nothing was checked.", field="file"
        ) from error
    except DoesNotHoldError as error:
        if json:
            show_json({"holds": False, "reason": str(error)})
        else:
            note(f"The proof does not hold. {error}")
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
            f"It was checked with the key that it brings itself: {holds.key}\nThat shows it is unchanged, not who made "
            "it. Compare the key with the publisher's, or give it with --public-key."
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


def _write(path: Path, proof: dict[str, Any]) -> None:
    """Readable by this user only: it is full of personal data."""
    from service.looks.proofs import render_proof

    whole = render_proof(proof) if path.suffix == ".html" else json_text.dumps(proof, ensure_ascii=False, indent=2)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(whole if whole.endswith("\n") else whole + "\n")


def _warn_of_unsealed(proof: dict[str, Any]) -> None:
    from service.domain.proof_checks import list_unsealed

    if unsealed := list(list_unsealed(proof)):
        note(
            f"{len(unsealed)} event(s) are not sealed yet; `milepost consent check` will say so. "
            "Make the proof again in two minutes."
        )
