"""What a service tells of itself on /metrics: read between slices, and the difference of two readings."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field

from prometheus_client.parser import text_string_to_metric_families

from shared.lab.results.server import ServiceFigures

PATH = "/metrics"
LAG = "event_loop_lag_seconds"
BUSY = "server_threads_busy"
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class ServiceReading:
    """What a service has counted since it began.

    Attributes:
        values: Samples without labels, by name.
        loop_lag: Samples of the event loop's lateness up to a bound, by that bound in seconds.
    """

    values: Mapping[str, float]
    loop_lag: Mapping[str, float] = field(default_factory=dict)


def parse(text: str) -> ServiceReading:
    """Return what a Prometheus text tells of the service as a whole.

    Raises:
        ValueError: If it is not one.
    """
    values: dict[str, float] = {}
    lag: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.labels:
                values[sample.name] = sample.value
            elif sample.name == f"{LAG}_bucket":
                lag[sample.labels["le"]] = sample.value
    return ServiceReading(values, lag)


def read(host: str, port: int) -> ServiceReading | None:
    """Return what a service tells now, or None if it tells nothing."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        # Its connection must not stay open: an idle one can hold a thread of the server.
        connection.request("GET", PATH, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
        return parse(body.decode("utf-8")) if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def between(before: ServiceReading, after: ServiceReading) -> ServiceFigures:
    """Return what was counted between two readings."""

    def change(name: str) -> float | None:
        return after.values[name] - before.values.get(name, 0.0) if name in after.values else None

    waits, timeouts = change("pool_waits_total"), change("pool_timeouts_total")
    busy, samples = change(f"{BUSY}_sum"), change(f"{BUSY}_count")
    lag = {bound: round(count - before.loop_lag.get(bound, 0.0)) for bound, count in after.loop_lag.items()}
    return ServiceFigures(
        pool_waits=None if waits is None else round(waits),
        pool_wait_s=change("pool_wait_seconds_total"),
        pool_timeouts=None if timeouts is None else round(timeouts),
        loop_lag=lag or None,
        busy_threads=busy / samples if busy is not None and samples else None,
    )
