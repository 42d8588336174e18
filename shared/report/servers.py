"""What the servers used, as a table of its own: it would not fit beside rates and percentiles."""

from typing import TextIO

from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.server import ServerSummary
from shared.report import format
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

HEADS = ("CPU ms/1k", "MB", "cs/req", "thr/fds", "db", "SQL/req", "waits", "lag/busy")


def print_servers(comparison: Comparison, stream: TextIO) -> None:
    """Print what the servers used."""
    draw(servers_sheet(comparison), stream)


def servers_sheet(comparison: Comparison) -> Sheet:
    """Return the table: a line for each subject under each workload."""
    shows_loads = len(comparison.loads) > 1
    rows = []
    shown = None
    for cell in comparison.cells:
        workload = (cell.scenario, cell.load)
        rows.append(
            Row(
                (
                    cell.scenario if workload != shown else "",
                    cell.subject,
                    *([str(cell.load)] if shows_loads else ()),
                    *_figures(cell),
                ),
                (),
            )
        )
        shown = workload
    heads = ("scenario", "edition", *(("load",) if shows_loads else ()), *HEADS)
    notes = (
        "CPU ms/1k: milliseconds per 1,000 requests in user mode + in the kernel. MB: peak memory of the process tree. "
        "cs/req: context switches per request. thr/fds: threads and open descriptors at the end of a slice. db: "
        "database sessions that ran a statement when it was looked (mean), of those in use in a slice (most). SQL/req: "
        "statements per request, counted by the database. waits: share of requests that waited for a connection of "
        "the pool. lag/busy: 99th percentile of the event loop's lateness, or mean number of busy threads; both "
        "sampled. -: could not be looked at. More in --json.",
    )
    return Sheet("What the servers used", heads, tuple(rows), (), notes, shows_loads)


def _figures(cell: CellSummary) -> tuple[str, ...]:
    server = cell.server
    if server is None:
        peak = format.megabytes(cell.server_peak_bytes)
        return (format.NOTHING, peak, *[format.NOTHING] * (len(HEADS) - 2))
    switches = (
        None
        if server.voluntary_switches_per_request is None or server.involuntary_switches_per_request is None
        else server.voluntary_switches_per_request + server.involuntary_switches_per_request
    )
    return (
        _pair("+", *map(format.milliseconds_per_thousand, (server.user_s_per_request, server.system_s_per_request))),
        format.megabytes(cell.server_peak_bytes),
        format.per_request(switches),
        _pair("/", format.maybe_count(server.threads), format.maybe_count(server.open_files)),
        _sessions(server),
        format.per_request(server.statements_per_request),
        format.NOTHING if server.pool_waits_per_request is None else f"{server.pool_waits_per_request:.0%}",
        _load(server),
    )


def _pair(between: str, left: str, right: str) -> str:
    return format.NOTHING if format.NOTHING in (left, right) else f"{left}{between}{right}"


def _sessions(server: ServerSummary) -> str:
    if server.sessions_held is None or server.sessions_in_use_mean is None:
        return format.NOTHING
    return f"{server.sessions_in_use_mean:.1f}/{server.sessions_held}"


def _load(server: ServerSummary) -> str:
    if server.loop_lag_p99_s is not None:
        return f"{server.loop_lag_p99_s * 1e3:g} ms"
    return format.NOTHING if server.busy_threads is None else f"{server.busy_threads:.1f} thr"
