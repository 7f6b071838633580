"""`milepost form snippet`: the sign-up box for the publisher's own site."""

from typing import Annotated

import typer

from service.cli.console import say
from service.cli.opening import opened
from service.domain.words import Language

app = typer.Typer(help="Sign-up forms.", no_args_is_help=True)


@app.command()
def snippet(
    form: Annotated[str, typer.Option(help="Which form.")] = "hub",
    language: Annotated[Language, typer.Option(help="Its language.")] = Language.EN,
    page: Annotated[str, typer.Option(help="URL of the page it will stand on; kept as evidence of each sign-up.")] = "",
) -> None:
    """Print static HTML for a page of yours: no script, no foreign host, the words in force."""
    from service.looks.forms import render_snippet
    from service.usecases.wording import get_form

    with opened() as container, container.transaction() as tx:
        say(render_snippet(container.publisher, get_form(tx, form, language), page).rstrip("\n"))
