"""What a comparison's table says about its load: which model, what the clients did, what the load client can do."""

from collections.abc import Sequence

from shared.lab.planning.plan import Behaviour
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.results.record import Comparison
from shared.report import format


def title(loads: Sequence[Load], subjects: str) -> str:
    """Return the head of a table: which models of load it shows, and on both of what."""
    models = {load.model for load in loads}
    if models == {"closed"}:
        return f"Closed-loop load on both {subjects}"
    return f"{'Open-model' if models == {'open'} else 'Closed-loop and open-model'} load on both {subjects}"


def loads_text(loads: Sequence[Load]) -> str:
    """Return how much was sent, such as: closed model, 8, 32 connections; open model, 500/s."""
    closed = [load for load in loads if load.model == "closed"]
    open_ = [load for load in loads if load.model == "open"]
    parts = []
    if closed:
        parts.append(f"closed model, {', '.join(map(str, closed))} connections")
    if open_:
        kinds = " and ".join(dict.fromkeys("Poisson" if load.arrivals == "poisson" else "constant" for load in open_))
        ceiling = max(load.connections for load in open_)
        rates = ", ".join(f"{load.rate:g}/s" for load in open_)
        parts.append(f"open model, {rates}, {kinds} arrivals, at most {ceiling} in flight")
    return "; ".join(parts)


def notes(comparison: Comparison) -> tuple[str, ...]:
    """Return the lines below a table: the models' difference, the mix, the clients' behaviour, the client's limits."""
    found = []
    if any(load.model == "open" for load in comparison.loads):
        found.append(
            "Open model: requests fall due on a schedule, whatever the server does; response times count from the "
            f"moment due, waiting for a connection included.{_waits(comparison)}"
        )
    found += [mix for scenario in comparison.scenarios if (mix := mix_text(scenario))]
    behaviours = dict.fromkeys(scenario.behaviour for scenario in comparison.scenarios)
    found += [
        f"Clients: {text}.{_aborted(comparison)}" for behaviour in behaviours if (text := behaviour_text(behaviour))
    ]
    if comparison.limits is not None:
        found.append(_limits(comparison))
    return tuple(found)


def mix_text(scenario: Scenario) -> str:
    """Return what a mix is made of; nothing for a scenario of one request."""
    if not scenario.parts:
        return ""
    whole = sum(part.weight for part in scenario.parts)
    shares = ", ".join(f"{part.weight / whole:.0%} {part.target}" for part in scenario.parts)
    return f"{scenario.name}: {shares}, in the same seeded order for both editions."


def behaviour_text(behaviour: Behaviour) -> str:
    """Return what clients do that is not polite; nothing if they are."""
    parts = []
    if behaviour.abort_share:
        parts.append(
            f"{100 * behaviour.abort_share:.3g} % of the requests are given up by a reset before they are answered"
        )
    if behaviour.slow_share:
        parts.append(
            f"{100 * behaviour.slow_share:.3g} % of the connections read at most {behaviour.slow_bytes_per_s:,} bytes "
            "per second, and the times of their answers are left out"
        )
    return "; ".join(parts)


def _waits(comparison: Comparison) -> str:
    arrivals = [cell.arrivals for cell in comparison.cells if cell.arrivals is not None]
    if not arrivals:
        return ""
    waited, longest = max(a.waited_share for a in arrivals), max(a.backlog_max for a in arrivals)
    if not waited:
        return " None waited."
    return f" At most {waited:.1%} of a line's requests waited for one, at most {longest:,} at a time."


def _aborted(comparison: Comparison) -> str:
    aborted = sum(cell.aborted for cell in comparison.cells)
    return f" {aborted:,} requests given up." if aborted else ""


def _limits(comparison: Comparison) -> str:
    limits = comparison.limits
    assert limits is not None
    processes = "1 process" if limits.processes == 1 else f"{limits.processes} processes"
    busiest = max((cell.client_cpu_share for cell in comparison.cells), default=0.0)
    lateness = (
        ""
        if not limits.timing_error_s
        else (
            f"; at {limits.timing_rate:g}/s it sent p50 {format.milliseconds(limits.timing_error_s['p50'])} ms, "
            f"p99 {format.milliseconds(limits.timing_error_s['p99'])} ms late"
        )
    )
    return (
        f"Load client: {processes}, up to {limits.highest_rps:,.0f} requests per second here at {limits.cpu_share:.0%} "
        f"of a core{lateness}{_lateness_under_load(comparison)}. It used at most {busiest:.0%} of a core above."
    )


def _lateness_under_load(comparison: Comparison) -> str:
    errors = [cell.arrivals.timing_error_s for cell in comparison.cells if cell.arrivals is not None]
    worst = max((error["p99"] for error in errors if error), default=None)
    return "" if worst is None else f", under these loads p99 at most {format.milliseconds(worst)} ms"
