"""Commands of the API's keys: make one, list them, end one."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from closingbell.cli.options import joined

app = typer.Typer(help="Keys of the API; each has a tier that bounds its rate.", no_args_is_help=True)

Author = Annotated[str | None, typer.Option(help="Who; the login name by default")]


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="Whose it is")],
    tier: Annotated[str, typer.Option(help="free, standard or pro")] = "standard",
    author: Author = None,
) -> None:
    """Make a key. It is printed once and stored hashed."""
    joined()
    from closingbell.api import keys
    from closingbell.warehouse import db

    key_id, key = keys.make(db.engine(), name, tier, author=author or getpass.getuser())
    typer.echo(f"key {key_id} of {name}, tier {tier}; it is shown this once:", err=True)
    typer.echo(key)


@app.command("list")
def list_keys() -> None:
    """Every key, those that ended too."""
    joined()
    from closingbell.api import keys
    from closingbell.warehouse import db

    for key in keys.listed(db.engine()).iter_rows(named=True):
        typer.echo("  ".join(f"{name}={value}" for name, value in key.items() if value is not None))


@app.command()
def end(
    key_id: Annotated[int, typer.Argument(help="As `api-key list` shows it")],
    author: Author = None,
) -> None:
    """End a key; it is refused within half a minute, and kept for the record."""
    joined()
    from closingbell.api import keys
    from closingbell.warehouse import db

    keys.end(db.engine(), key_id, author=author or getpass.getuser())
