"""The `closingbell` command: every step that a person or a pod can run, with the load path that Airflow's tasks take.

A step works on CLOSINGBELL_DATABASE_URL and AIRFLOW_CONN_<ID>, else on the stack that `make up` started last. Exit
code 0, or 1 with one line that says what was wrong and what to do (a traceback with --debug); 75 where it has to wait,
for a vendor's quota or for another run that writes the same partition.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from closingbell.cli import api_keys, loads, stacks, warehouse

EXIT_WAITS = 75  # EX_TEMPFAIL of sysexits.h; PipelinePodOperator defers on it

app = typer.Typer(
    help=__doc__.partition("\n\n")[0],
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (loads, stacks, warehouse):
    app.add_typer(family.app)
app.add_typer(warehouse.override_app, name="override")
app.add_typer(api_keys.app, name="api-key")

_debug = False


def main() -> None:
    """Run the command; an error is one line on stderr and exit code 1."""
    try:
        sys.exit(app(_repeated(sys.argv[1:], "--from-files"), standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if hasattr(error, "format_message"):  # click's: a wrong option
            print(f"error: {error.format_message()} (see --help)", file=sys.stderr)
            sys.exit(2)
        if _debug:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        sys.exit(EXIT_WAITS if type(error).__name__ in ("QuotaExhausted", "PartitionBusy") else 1)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what each step logs")] = False,
) -> None:
    """Set up logging for every command."""
    global _debug
    _debug = debug
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    from closingbell.settings import settings

    handler = logging.StreamHandler()
    if settings().json_logs:
        from pythonjsonlogger.json import JsonFormatter

        handler.setFormatter(JsonFormatter("{asctime}{levelname}{name}{message}", style="{"))
        level = min(level, logging.INFO)
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("closingbell").setLevel(level)


def _repeated(arguments: list[str], option: str) -> list[str]:
    """The option before every value that follows it: click's options take a fixed number."""
    given: list[str] = []
    taking = False
    for argument in arguments:
        if taking and not argument.startswith("-"):
            given += [argument] if given[-1] == option else [option, argument]
        else:
            given.append(argument)
            taking = argument == option
    return given


def _one_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    # SQLAlchemy adds the statement and a link; the database's own words come first
    return text.split("\n[SQL:")[0].split("\n(Background")[0]
