"""The whole parity check: services of its own or running ones, every case, one result."""

import secrets
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextlib import contextmanager

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from shared.config import Edition
from shared.config import Settings
from shared.engine import is_mariadb
from shared.engine import locate
from shared.errors import EnvironmentFailure
from shared.lab import databases
from shared.lab.observation.statements import MISCOUNTED
from shared.lab.observation.statements import StatementCounter
from shared.lab.parity import cases
from shared.lab.parity import faults
from shared.lab.parity.case import Case
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Pair
from shared.lab.parity.case import Skipped
from shared.lab.parity.case import seeded
from shared.lab.parity.cases.success import open_account
from shared.lab.parity.comparison import Comparison
from shared.lab.parity.comparison import Progress
from shared.lab.parity.message import Request
from shared.lab.parity.result import ParityResult
from shared.lab.parity.result import Scope
from shared.lab.parity.side import Side
from shared.lab.parity.transport import Address
from shared.lab.parity.transport import exchange
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import edition_spec
from shared.lab.services.process import free_port

EDITIONS: tuple[Edition, Edition] = ("wsgi", "asgi")
# Small enough to be exceeded by a chunked body in a moment.
UPLOAD_BYTES = 4_194_304
# Accounts that every case may use, opened at the start.
ACCOUNTS = ("first", "second")
# Entries whose first call makes the drivers ask the database about itself.
WARM_UP = ("/db", "/fortunes", "/updates", "/accounts", "/stream?rows=1", "/sleep?seconds=0", "/health/db")
NEEDS_OWN = "needs services, and a database, that may be disturbed"

Services = tuple[Service, Service]
# How to start an edition with some settings.
SpecMaker = Callable[[Edition, Mapping[str, str]], ServiceSpec]
Counters = tuple[StatementCounter | None, StatementCounter | None]


def run(
    settings: Settings,
    urls: tuple[str, str] | None,
    progress: Progress,
    *,
    scope: Scope = "full",
    make_spec: SpecMaker = edition_spec,
) -> ParityResult:
    """Compare the editions and return what was found.

    Args:
        settings: The project's settings.
        urls: Running services, WSGI first, in which the check opens accounts; None: both are started here, each on a
            database of its own.
        progress: Called with one line at each step.
        scope: "quick" has the successes and the common errors of every entry.
        make_spec: Says how an edition is started, with the settings that it needs for the check.

    Raises:
        UsageError: If a URL is unusable, or the role in DATABASE_URL may not create databases.
        EnvironmentFailure: If a service or the database cannot be started or reached.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        found = (
            _own(stack, settings, progress, scope, make_spec)
            if urls is None
            else _running(stack, settings, urls, progress, scope)
        )
        comparison, why = found
        totals = tuple(side.statements for side in comparison.sides)
        return ParityResult(
            groups=tuple(comparison.groups),
            differences=tuple(comparison.found),
            known=tuple(comparison.known),
            not_compared=tuple(comparison.not_compared),
            statements=None if why else (totals[0], totals[1]),
            statements_why=why,
            duration_s=time.monotonic() - started,
            urls=urls,
            scope=scope,
        )


def across(
    settings: Settings, services: Services, token: str, progress: Progress, *, scope: Scope = "full"
) -> Comparison:
    """Compare two editions on fresh databases that need not be of one kind; what disturbs a database is left out.

    Args:
        settings: The project's settings.
        services: WSGI and ASGI, started with `environ`.
        token: Their CHECK_TOKEN.
        progress: Called with one line at each step.
        scope: "quick" has the successes and the common errors of every entry.
    """
    comparison = Comparison(
        sides=_sides(settings, services, token), progress=progress, is_shared=False, secrets=(token,), setup=""
    )
    _compare_plain(comparison, _limits(settings, upload_bytes=UPLOAD_BYTES, lab=True, trace=True), scope)
    return comparison


def _own(
    stack: ExitStack, settings: Settings, progress: Progress, scope: Scope, make_spec: SpecMaker
) -> tuple[Comparison, str]:
    progress("starting the database")
    source = locate(settings)
    stack.callback(source.release)
    databases.require_right(source.url, "The parity check", ", or name running services")
    own = databases.new_pair(source.url, "parity")
    # Left after the services, whichever is ready first.
    kept = stack.enter_context(ExitStack())
    creating = stack.enter_context(ThreadPoolExecutor(1)).submit(kept.enter_context, databases.created(source.url, own))
    token = secrets.token_urlsafe(24)
    pairs: tuple[Pair, ...] = ("main",) if scope == "quick" else ("main", "tight", "down")
    progress(f"creating two databases and starting {2 * len(pairs)} services")
    # So that MISCOUNTED statements are counted, too, the driver that keeps prepared statements is told not to.
    cache = {} if is_mariadb(own[1]) else {"prepared_statement_cache_size": "0"}
    kept_none = make_url(own[1]).update_query_dict(cache)
    service_urls = (own[0], kept_none.render_as_string(hide_password=False))
    services = stack.enter_context(_started(settings, service_urls, token, pairs, make_spec))
    creating.result()
    counters, why = _counters(stack, source.url, own)
    comparison = Comparison(
        sides=_sides(settings, services["main"], token, counters),
        progress=progress,
        is_shared=False,
        secrets=(token, *_passwords(source.url)),
        setup="started with LAB=1, the same CHECK_TOKEN and TRACE_TOKEN, by make run-wsgi and make run-asgi; each with "
        f"MAX_UPLOAD_BYTES={UPLOAD_BYTES}",
    )
    limits = _limits(settings, upload_bytes=UPLOAD_BYTES, lab=True, trace=True)
    _compare_plain(comparison, limits, scope)
    if scope == "full":
        _compare_faults(settings, comparison, services, dict(zip(EDITIONS, own, strict=True)))
    return comparison, why


def _compare_faults(
    settings: Settings, comparison: Comparison, services: dict[Pair, Services], urls: faults.Urls
) -> None:
    plain = comparison.sides
    token = plain[0].token
    comparison.compare(cases.faults.killed_idle(), send=faults.after_kill(urls))
    comparison.compare(cases.faults.killed_in_use(), send=faults.during_kill(urls))
    tight = " ".join(f"{key}={value}" for key, value in faults.TIGHT.items())
    with comparison.other(_sides(settings, services["tight"], token), f"{comparison.setup} {tight}"):
        for side, main in zip(comparison.sides, plain, strict=True):
            side.values.update(main.values)
            exchange(side.address, Request("GET", "/db"))
        comparison.compare(cases.faults.exhausted(), send=faults.while_pool_is_held)
        comparison.compare(cases.faults.slow(), send=faults.while_tables_are_locked(urls))
    scheme = "mysql" if is_mariadb(urls["wsgi"]) else "postgresql"
    nowhere = f"{comparison.setup} DATABASE_URL={scheme}://nobody@127.0.0.1:1/nothing"
    with comparison.other(_sides(settings, services["down"], token), nowhere):
        for side, main in zip(comparison.sides, plain, strict=True):
            side.values.update(main.values)
        comparison.compare(cases.faults.down(), send=faults.without_database)


def _running(
    stack: ExitStack, settings: Settings, urls: tuple[str, str], progress: Progress, scope: Scope
) -> tuple[Comparison, str]:
    addresses = [Address.of(url) for url in urls]
    for edition, address in zip(EDITIONS, addresses, strict=True):
        answer = exchange(address, Request("GET", "/livez"))[-1]
        if answer.status != 200:
            raise EnvironmentFailure(
                f"The {edition} edition does not answer at {address}",
                why=f"GET /livez: {answer.line}",
                hint=f"Start it with: make run-{edition}",
            )
    token = settings.check_token.get_secret_value() if settings.check_token else None
    counters: Counters = (None, None)
    why = "DATABASE_URL is not set, so the running services' database is not known"
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        counters, why = _counters(stack, url, (url, url), MISCOUNTED)
    nonce = secrets.token_hex(4)
    sides = (
        Side("wsgi", addresses[0], token, counters[0], nonce, addresses[0]),
        Side("asgi", addresses[1], token, counters[1], nonce, addresses[1]),
    )
    comparison = Comparison(
        sides=sides,
        progress=progress,
        is_shared=True,
        secrets=tuple(filter(None, [token])),
        setup="as they run; CHECK_TOKEN is that of .env",
    )
    lab = all(exchange(address, Request("GET", "/blocking?seconds=0"))[-1].status == 200 for address in addresses)
    trace = all(exchange(address, Request("GET", "/traces"))[-1].status == 200 for address in addresses)
    limits = _limits(settings, upload_bytes=None, lab=lab, trace=trace)
    _compare_plain(comparison, limits, scope)
    if scope == "full":
        makers = (cases.faults.exhausted, cases.faults.slow, cases.faults.down, cases.faults.killed_idle)
        comparison.compare((), [Skipped(case.group, case.name, NEEDS_OWN) for make in makers for case in make()])
    return comparison, why


def _compare_plain(comparison: Comparison, limits: Limits, scope: Scope) -> None:
    comparison.progress("opening accounts and warming up")
    for side in comparison.sides:
        _prepare(side)
    every, skipped = cases.every(limits)
    chosen = [case for case in every if scope == "full" or case.is_common]
    comparison.compare(chosen, skipped if scope == "full" else ())


def _prepare(side: Side) -> None:
    """Let the pool connect and the drivers learn, and open the accounts that cases use."""
    for target in WARM_UP:
        # With a seed, so that the rows that are written are the same.
        exchange(side.address, side.filled(Request("GET", target, seeded()), {}))
    for name in ACCOUNTS:
        step = open_account(name)
        answers = side.answer(Case("", "", (step,)))
        response = answers[0].last
        if response.status != step.expects:
            raise EnvironmentFailure(
                f"The {side.edition} edition does not open accounts",
                why=f"POST /accounts: {response.line}",
                hint=f"Ask it what is wrong: curl -i http://{side.address}/readyz",
            )
        side.values[name] = answers[0].handed_out[name]
    side.statements = 0


def _sides(
    settings: Settings, services: Services, token: str | None, counters: Counters = (None, None)
) -> tuple[Side, Side]:
    nonce = secrets.token_hex(4)
    wsgi, asgi = (
        # What reproduces a difference names the ports of services that still run when it is read.
        Side(edition, Address.of(service.url), token, counter, nonce, Address(settings.host, settings.port(edition)))
        for edition, service, counter in zip(EDITIONS, services, counters, strict=True)
    )
    return wsgi, asgi


@contextmanager
def _started(
    settings: Settings, urls: tuple[str, str], token: str, pairs: tuple[Pair, ...], make_spec: SpecMaker
) -> Iterator[dict[Pair, Services]]:
    """Start every pair at once, and stop all of them at the end."""
    with ExitStack() as stack, ThreadPoolExecutor(2 * len(pairs)) as pool:
        services: dict[Pair, Services] = {}
        for pair in pairs:
            wsgi, asgi = (
                Service(make_spec(edition, environ(settings, url, token, pair)))
                for edition, url in zip(EDITIONS, urls, strict=True)
            )
            services[pair] = (wsgi, asgi)
        every = [service for pair in services.values() for service in pair]
        starts = [pool.submit(stack.enter_context, service) for service in every]
        for start in starts:
            start.result()
        yield services


def environ(settings: Settings, url: str, token: str, pair: Pair = "main") -> dict[str, str]:
    """Return the settings of a service; those that cases depend on are fixed, whatever the environment says."""
    scheme = "mysql" if is_mariadb(url) else "postgresql"
    values = {
        "DATABASE_URL": f"{scheme}://nobody@127.0.0.1:{free_port()}/nothing" if pair == "down" else url,
        "CHECK_TOKEN": token,
        "LAB": "1",
        "WSGI_WORKERS": "1",
        "ASGI_WORKERS": "1",
        "MAX_UPLOAD_BYTES": str(UPLOAD_BYTES),
        "MAX_BODY_BYTES": str(settings.max_body_bytes),
        "MAX_HEADER_COUNT": str(settings.max_header_count),
        "MAX_HEADER_BYTES": str(settings.max_header_bytes),
        "MAX_LINE_BYTES": str(settings.max_line_bytes),
        "TRACE": "1",
        "TRACE_TOKEN": token,
        # What the parsers refuse is said in a line each.
        "LOG_LEVEL": "error",
    }
    return values | (faults.TIGHT if pair == "tight" else {})


def _counters(
    stack: ExitStack, url: str, counted: tuple[str, str], ignored: frozenset[str] = frozenset()
) -> tuple[Counters, str]:
    """Return a counter for each edition's database, or why there is none."""
    if is_mariadb(url):
        return (None, None), "they are counted by pg_stat_statements, which is PostgreSQL's"
    try:
        names = [make_url(each).database or "" for each in counted]
        wsgi = stack.enter_context(StatementCounter(url, names[0], ignored))
        asgi = stack.enter_context(StatementCounter(url, names[1], ignored))
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return (None, None), f"pg_stat_statements cannot be read: {why}"
    return (wsgi, asgi), ""


def _limits(settings: Settings, *, upload_bytes: int | None, lab: bool, trace: bool) -> Limits:
    return Limits(
        max_body_bytes=settings.max_body_bytes,
        max_upload_bytes=upload_bytes,
        max_header_count=settings.max_header_count,
        max_header_bytes=settings.max_header_bytes,
        max_line_bytes=settings.max_line_bytes,
        lab=lab,
        trace=trace,
    )


def _passwords(url: str) -> tuple[str, ...]:
    password = make_url(url).password
    return (str(password),) if password else ()
