"""`python -m closingbell.sandbox`: serve the vendors on this machine until interrupted. See `server`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from datetime import datetime
from pathlib import Path

from closingbell.sandbox.faults import rates


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when interrupted, 2 with one line on what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m closingbell.sandbox", description="The vendors on this machine.")
    parser.add_argument("--mode", choices=("simulated", "recorded"), default="simulated")
    parser.add_argument("--recordings", type=Path, default=os.environ.get("CLOSINGBELL_RECORDINGS") or None)
    parser.add_argument("--seed", type=int, default=7, help="of the simulated market, and of the faults")
    parser.add_argument("--companies", type=int, default=60, help="size of the simulated market")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--port-file", type=Path, help="the port is written here once the server listens")
    parser.add_argument("--faults", default="{}", help='rates as JSON, {"429": 0.1, "5xx": 0.05}')
    parser.add_argument("--clock", help="ISO moment with zone; the default is the evening of the last session")
    parser.add_argument("--polygon-per-minute", type=int, help="Polygon's limit of requests (its free plan: 5)")
    given = parser.parse_args(argv)
    try:
        serve(given)
    except (ValueError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def serve(given: argparse.Namespace) -> None:
    """Listen on this machine only, and answer until stopped."""
    from closingbell.sandbox.server import Sandbox, moment, open_market, server_of

    market = open_market(given.mode, recordings=given.recordings, seed=given.seed, companies=given.companies)
    box = Sandbox(
        market,
        mode=given.mode,
        seed=given.seed,
        clock=moment(given.clock) if given.clock else None,
        faults=rates(given.faults),
        polygon_per_minute=given.polygon_per_minute,
    )
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", given.port))
    listener.listen(128)
    port = listener.getsockname()[1]
    if given.port_file:
        partial = given.port_file.with_name(given.port_file.name + ".part")
        partial.write_text(f"{port}\n")
        partial.replace(given.port_file)
    now: datetime = box.clock
    print(f"sandbox ready: http://127.0.0.1:{port} {given.mode}, clock {now.isoformat()}", flush=True)
    server_of(box).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
