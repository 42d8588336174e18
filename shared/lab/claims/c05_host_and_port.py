"""C5: the server delivers only to a running application at that host and port."""

import socket
from collections.abc import Mapping
from contextlib import closing

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Subject
from shared.lab.claims.wire import talk
from shared.lab.parity.message import Request
from shared.lab.parity.transport import parse
from shared.lab.services.process import HOST

# Another address of the same machine, on which no edition listens; on Linux all of 127/8 is loopback.
ANOTHER_HOST = "127.0.0.2"
# A name that no edition knows, in the Host field.
FOREIGN_NAME = "another.example"
KNOWN, UNKNOWN = "/json", "/nowhere"
# How long a listener without an application is waited for.
SILENCE_S = 0.2

REFUSED = "connection refused, no byte"
SILENT = "connected, no byte"
# What is tried, by the name of its figure, and what must be seen on the wire.
EXPECTED: Mapping[str, tuple[str, str]] = {
    "before": ("a free port, before the service was started", REFUSED),
    "known": (f"its address, {KNOWN}", "connected, status 200"),
    "unknown": (f"its address, {UNKNOWN}", "connected, status 404"),
    "other_port": ("its host, another port", REFUSED),
    "other_host": (f"another host ({ANOTHER_HOST}), its port", REFUSED),
    "no_application": ("a port where a socket listens and nothing answers", SILENT),
    "after": ("its address after it was stopped", REFUSED),
}


def measure(bench: Bench, options: Options) -> Finding:
    """Try every address several times, and keep what was seen on the wire."""
    trials = int(options["trials"])
    measured: dict[Subject, Figures] = {}
    notes: tuple[str, ...] = ()
    for edition in EDITIONS:
        bench.progress(f"C5: {edition}, {len(EXPECTED)} addresses, {trials} times")
        seen: dict[str, list[str]] = {name: [] for name in (*EXPECTED, "foreign_name", "servers")}
        _try(bench, edition, trials, seen)
        figures = [
            Figure(name, label, _said(seen[name]), trials=len(seen[name])) for name, (label, _) in EXPECTED.items()
        ]
        foreign = f"its address, {KNOWN}, with Host: {FOREIGN_NAME}"
        figures.append(Figure("foreign_name", foreign, _said(seen["foreign_name"]), trials=trials))
        figures.append(Figure("servers", "Server field of the answers", _said(seen["servers"]), trials=trials))
        measured[edition] = Figures(tuple(figures))
        if not _is_refused(seen["other_host"]):
            notes = (f"{ANOTHER_HOST} may be no address of this machine: only Linux has all of 127/8 from the start.",)
    return Finding(measured, notes=notes)


def _try(bench: Bench, edition: Edition, trials: int, seen: Mapping[str, list[str]]) -> None:
    seen["before"].extend(_nobody(0) for _ in range(trials))
    with bench.service(edition) as service:
        port = service.port
        for _ in range(trials):
            seen["known"].append(_probe(HOST, port))
            seen["unknown"].append(_probe(HOST, port, target=UNKNOWN))
            seen["foreign_name"].append(_probe(HOST, port, name=FOREIGN_NAME))
            seen["other_host"].append(_probe(ANOTHER_HOST, port))
            seen["other_port"].append(_nobody(0))
            seen["servers"].append(_server(port))
            with closing(socket.create_server((HOST, 0))) as listener:
                seen["no_application"].append(_probe(HOST, listener.getsockname()[1], timeout_s=SILENCE_S))
    seen["after"].extend(_nobody(port) for _ in range(trials))


def _nobody(port: int) -> str:
    """Return what a client sees at a port that is kept from everybody else and on which nobody listens.

    Args:
        port: Which; 0 for any.

    Raises:
        EnvironmentFailure: If somebody else has it.
    """
    with socket.socket() as kept:
        # The connections of a service that has ended stay for a while, and must not keep its port from this.
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if port else 0)
        try:
            kept.bind((HOST, port))
        except OSError as error:
            raise EnvironmentFailure(f"Port {port} was taken by somebody else meanwhile", why=str(error)) from error
        return _probe(HOST, kept.getsockname()[1])


def _probe(host: str, port: int, *, target: str = KNOWN, name: str = "", timeout_s: float = 5.0) -> str:
    """Return what a client sees that sends a request to an address over a plain socket."""
    wire = Request("GET", target, host=name).wire(f"{host}:{port}")
    try:
        received = talk(host, port, [wire], timeout_s=timeout_s)
    except ConnectionRefusedError:
        return REFUSED
    except TimeoutError:
        return SILENT
    except OSError as error:
        return f"{type(error).__name__}, errno {error.errno}"
    if not received:
        return SILENT
    return f"connected, status {parse(received)[-1].status}"


def _server(port: int) -> str:
    """Return what the answer says of who made it."""
    received = talk(HOST, port, [Request("GET", KNOWN).wire(f"{HOST}:{port}")])
    return parse(received)[-1].header("server") or "(none)"


def _said(seen: list[str]) -> str:
    return " or ".join(dict.fromkeys(seen))


def _is_refused(seen: list[str]) -> bool:
    return set(seen) == {REFUSED}


def rule(figures: Figures) -> Ruling:
    """Refuted by an answer from where the service is not; undecided where what is expected was not seen."""
    wrong = {name: figures.text(name) for name, (_, expected) in EXPECTED.items() if figures.text(name) != expected}
    elsewhere = [name for name, (_, expected) in EXPECTED.items() if expected in (REFUSED, SILENT)]
    said = "; ".join(f"{EXPECTED[name][0]}: {found}" for name, found in wrong.items())
    if any("status" in wrong.get(name, "") for name in elsewhere):
        return Ruling("refuted", said)
    if wrong.keys() & {"known", "unknown"}:
        return Ruling("refuted", said)
    if wrong:
        return Ruling("undecided", said)
    return Ruling("confirmed", "only at the running service's own address did anything answer, there with 200 and 404")


def explain(finding: Finding) -> str:
    """Return what was measured, and what of it is the kernel's, the server's and the application's."""
    parts = []
    for edition, figures in finding.measured.items():
        seen = "; ".join(f"{label}: {figures.text(name)}" for name, (label, _) in EXPECTED.items())
        parts.append(
            f"{edition} (Server: {figures.text('servers')}): {seen}; with Host: {FOREIGN_NAME}: "
            f"{figures.text('foreign_name')}."
        )
    return (
        f"{' '.join(parts)} Whether a connection exists is the kernel's doing, by connect() refused with ECONNREFUSED "
        "where nobody listens at that address; a connection alone says nothing of an application, as the socket shows "
        "that listens and is never answered; 404 is an answer of the running application about a path, and so a "
        "success of the delivery. Which name a client writes into Host decides nothing: the address does."
    )


CLAIM = Claim(
    number=5,
    statement="The server delivers only to a running application at that host and port.",
    prediction=(
        "Connection refused where nobody listens: at another port, at another address of the machine, before the start "
        "and after the stop; 404 and 200 only from the running service; all told apart on the wire."
    ),
    method=(
        "A plain socket sends one GET to: a free port before the start, the running service's address with a path that "
        "exists and one that does not, another port, another loopback address, a port where a socket listens that no "
        "application reads from, and the service's port after the stop. What comes back is read as "
        "bytes. Where nobody must listen, the port is kept by a socket that is bound and does not listen."
    ),
    rule_words=(
        "Refuted if anything but the running service answers, or the service does not answer 200 and 404; undecided if "
        "an address fails in another way than expected; confirmed otherwise."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=8,
    options=(Option("trials", 5, "how often each address is tried", 1, 100),),
    sources=(
        Source("Linux manual: connect(2)", "https://man7.org/linux/man-pages/man2/connect.2.html"),
        Source(
            "RFC 9110: HTTP Semantics, 15.5.5 404 Not Found",
            "https://www.rfc-editor.org/rfc/rfc9110.html#name-404-not-found",
        ),
    ),
)
