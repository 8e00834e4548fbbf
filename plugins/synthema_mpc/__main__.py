"""One party's command: ``python -m synthema_mpc TASK INPUT -P host:port -P host:port -P host:port -I 0``.

``TASK`` is ``sum``, ``at-least``, ``log-rank`` or ``log-rank-reaches``; ``INPUT`` a JSON file with this
party's own numbers (the README shows them). All parties run the same task; each prints the same
answer as JSON. The options after the input are MPyC's own: ``-P`` once for each party in
the same order everywhere, ``-I`` this party's place, ``--ssl`` with certificates in ``.config``.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from synthema_mpc import parties
from synthema_mpc.parties import MpcError

FEWEST_PARTIES = 3
TASKS = ("sum", "at-least", "log-rank", "log-rank-reaches")


def main() -> None:
    """Run one task with the other parties and print its answer."""
    parser = argparse.ArgumentParser(prog="synthema_mpc", add_help=False, allow_abbrev=False)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("input", type=Path)
    asked, rest = parser.parse_known_args()
    sys.argv = [sys.argv[0], *rest]  # MPyC reads its own options when it is imported
    try:
        from mpyc.runtime import mpc  # noqa: PLC0415 - part of an extra, and acts on import
    except ImportError:
        sys.exit("MPyC is not installed: pip install 'synthema[mpc]'")
    try:
        check_parties([(party.host, party.pid == mpc.pid) for party in mpc.parties], encrypted=bool(mpc.options.ssl))
        answer = mpc.run(_task(mpc, asked.task, json.loads(asked.input.read_text())))
    except MpcError as error:
        sys.exit(f"refused: {error}")
    sys.stdout.write(json.dumps(answer) + "\n")


def check_parties(hosts: list[tuple[str, bool]], *, encrypted: bool) -> None:
    """Raise :class:`MpcError` for fewer than three parties, or an unencrypted way to another machine.

    ``hosts`` has each party's host and whether it is this party itself.
    """
    if len(hosts) < FEWEST_PARTIES:
        raise MpcError(f"{len(hosts)} parties: at least {FEWEST_PARTIES} are needed for a majority to be honest")
    outside = [host for host, own in hosts if not own and not _is_loopback(host)]
    if outside and not encrypted:
        raise MpcError(f"shares would travel in the clear to {outside[0]}: give --ssl and the parties' certificates")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _task(mpc: Any, task: str, own: dict[str, Any]) -> Any:
    await mpc.start()
    try:
        if task == "sum":
            return [int(number) for number in await parties.secure_sum(mpc, _row(own, "vector"))]
        if task == "at-least":
            reached = await parties.at_least(mpc, _row(own, "vector"), _row(own, "limits"))
            return [bool(bit) for bit in reached]
        survival = parties.Survival(**{name: own[name] for name in parties.Survival.__slots__})
        if task == "log-rank":
            return await parties.log_rank(mpc, survival, own["patients"])
        return await parties.log_rank_reaches(mpc, survival, own["patients"], own["critical"])
    except KeyError as error:
        raise MpcError(f"the input has no {error}") from error
    finally:
        await mpc.shutdown()


def _row(own: dict[str, Any], name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    if not isinstance(own.get(name), list) or not all(type(number) is int for number in own[name]):
        raise MpcError(f"the input needs '{name}', a list of whole numbers")
    return np.array(own[name], dtype=np.int64)


if __name__ == "__main__":
    main()
