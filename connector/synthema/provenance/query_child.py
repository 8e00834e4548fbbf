"""The process in which an auditor's own question runs: a copy of the log's triples in memory, and nothing else.

It is started as a plain script with an empty environment and without this
package. It gets its limits, the question and the triples; then it gives up the
right to open anything, so that neither a file nor the network can be reached,
whatever the question says. It can be killed at any moment, for it holds
nothing that is needed.
"""

from __future__ import annotations

import resource
import sys

READY = b"ready\n"
REFUSED = 3
TOO_LARGE = 4


def main() -> int:
    """Read the question and the triples, answer on stdout; returns the exit status."""
    from pyoxigraph import QueryBoolean, QueryResultsFormat, QuerySolutions, RdfFormat, Store  # noqa: PLC0415

    memory, seconds, length = (int(argument) for argument in sys.argv[1:4])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, memory)
    question = sys.stdin.buffer.read(length).decode()
    store = Store()
    store.bulk_load(sys.stdin.buffer, RdfFormat.N_QUADS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + seconds + 1)
    _limit(resource.RLIMIT_NOFILE, 0)  # what is open stays open; no file and no socket can be opened any more
    out = sys.stdout.buffer
    out.write(READY)
    out.flush()
    try:
        answer = store.query(question, use_default_graph_as_union=True)
        if isinstance(answer, QuerySolutions | QueryBoolean):
            answer.serialize(out, QueryResultsFormat.JSON)
        else:
            answer.serialize(out, RdfFormat.N_TRIPLES)
    except (SyntaxError, ValueError, RuntimeError, OSError) as error:
        sys.stderr.write(str(error))
        return REFUSED
    out.flush()
    return 0


def _limit(which: int, value: int) -> None:
    resource.setrlimit(which, (value, value))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MemoryError:
        sys.exit(TOO_LARGE)
