"""`milepost demo`, `demo-reset`, `catcher` and `hub`: registered at the top level by service/cli/app.py."""

import typer

app = typer.Typer()
