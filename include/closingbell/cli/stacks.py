"""Commands of the stack on this machine: up, demo, down, and Airflow's own command on it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from closingbell.cli.options import split

app = typer.Typer()

ModeOption = Annotated[str, typer.Option(help="simulated, recorded or live")]
RecordingsOption = Annotated[str, typer.Option(help="Folder of recorded vendor answers, for --mode recorded")]
CompaniesOption = Annotated[int, typer.Option(help="Size of the simulated market, 20 to 6000")]
SeedOption = Annotated[int, typer.Option(help="Seed of the simulated market")]
PortOption = Annotated[int, typer.Option(help="Airflow's port on this machine")]
FaultsOption = Annotated[str, typer.Option(help="JSON of fault rates that the sandbox mixes in")]
TickersOption = Annotated[str, typer.Option(help="Only these tickers, separated by commas")]


@app.command()
def up(
    mode: ModeOption = "simulated",
    recordings: RecordingsOption = "",
    companies: CompaniesOption = 60,
    seed: SeedOption = 7,
    port: PortOption = 8080,
    faults: FaultsOption = "",
    session: Annotated[str, typer.Option(help="Only checked, for no run is started: see `demo`")] = "",
    tickers: TickersOption = "",
) -> None:
    """Start PostgreSQL, the vendors' sandbox and Airflow on this machine."""
    from closingbell import demo, stack

    wanted = stack.spec(
        mode=mode, recordings=recordings, companies=companies, seed=seed, port=port, faults=faults,
        tickers=split(tickers), every_run=True,
    )  # fmt: skip
    demo.check_session(session)
    state = stack.up(wanted, _say)
    said = demo.places(state) + demo.schedules(state) + demo.for_runs(state, session=session)
    typer.echo(said, nl=False)


@app.command("demo")
def demo_(
    mode: ModeOption = "simulated",
    recordings: RecordingsOption = "",
    companies: CompaniesOption = 60,
    seed: SeedOption = 7,
    port: PortOption = 8080,
    faults: FaultsOption = "",
    session: Annotated[str, typer.Option(help="Session to score; the vendors' last one by default")] = "",
    tickers: TickersOption = "",
) -> None:
    """Start the stack, run the main job once in Airflow, print the scoreboard."""
    from closingbell import demo, stack

    chosen = split(tickers)
    wanted = stack.spec(
        mode=mode, recordings=recordings, companies=companies, seed=seed, port=port, faults=faults, tickers=chosen
    )
    demo.check_session(session)
    state = stack.up(wanted, _say)
    typer.echo(demo.demo(state, session=session, tickers=chosen, say=_say), nl=False)


@app.command()
def down() -> None:
    """End what `up` or `demo` started, and nothing else."""
    from closingbell import stack

    stack.down(_say)


@app.command("db-url")
def db_url() -> None:
    """Print the last stack's warehouse as a libpq URL: psql "$(closingbell db-url)"."""
    from closingbell import stack

    if (state := stack.last_state()) is None:
        raise stack.StackError("no stack was started here yet: run `make up`")
    try:
        typer.echo(stack.libpq_url(state))
    except RuntimeError as error:
        raise stack.StackError(f"the last stack ({state.spec.name}) is down: {error}") from None


@app.command(
    "airflow",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def airflow_(context: typer.Context) -> None:
    """Airflow's own command on the last stack: `closingbell airflow dags list`."""
    from closingbell import stack

    environment = os.environ | stack.airflow_environ()
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *context.args], environment)  # noqa: S606


@app.command("airflow-settings")
def airflow_settings() -> None:
    """Pools and connections of airflow_settings.yaml into Airflow's own database; what exists there is kept."""
    from airflow.utils.session import create_session

    from closingbell import stack

    with create_session() as session:
        new = stack.load_settings_into(session)
    typer.echo("\n".join(new) if new else "Airflow has every pool and connection")


def _say(text: str) -> None:
    typer.echo(f"  {text}", err=True)
