"""C15: the driver is picked by the URL and never imported by the application."""

import ast
import secrets
from collections.abc import Iterator
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Literal

from shared.config import Edition
from shared.config import load
from shared.contract import endpoints
from shared.lab import databases
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
from shared.lab.parity import check
from shared.lab.parity.comparison import FINE
from shared.lab.parity.comparison import Comparison
from shared.lab.parity.result import Difference
from shared.lab.services import mariadb
from shared.lab.services.process import Service
from shared.lab.services.process import edition_spec
from shared.twins import ROOT

Place = Literal["postgresql", "mariadb"]
PLACES: tuple[Place, ...] = ("postgresql", "mariadb")
# What each URL is said to lead to; the URLs themselves name no driver.
EXPECTED: Mapping[tuple[Place, Edition], str] = {
    ("postgresql", "wsgi"): "psycopg2",
    ("postgresql", "asgi"): "asyncpg",
    ("mariadb", "wsgi"): "pymysql",
    ("mariadb", "asgi"): "aiomysql",
}
DRIVERS = frozenset({"psycopg2", "psycopg", "asyncpg", "pymysql", "aiomysql", "MySQLdb", "asyncmy"})
# The one answer that must differ: it tells the database's own version.
VERSION_ENTRY = "/health/db"


@dataclass(frozen=True, slots=True)
class Served:
    """What an edition's service answered on one database.

    Attributes:
        cases: Cases that were sent.
        wrong: Cases whose answer breaks the contract.
        unequal: Cases whose answer differs from the other edition's on the other database, but for its version.
    """

    cases: int
    wrong: int
    unequal: int


def measure(bench: Bench, options: Options) -> Finding:
    """Read the sources, watch when drivers are loaded, and compare the editions across the databases."""
    with ExitStack() as stack:
        urls = stack.enter_context(_fresh(bench))
        has_mariadb = ("mariadb", "wsgi") in urls
        served = _serve(bench, urls, is_full=bool(options["full"]))
        measured: dict[Subject, Figures] = {}
        for edition in EDITIONS:
            bench.progress(f"C15: when {edition} loads its driver")
            figures = [
                Figure("source_imports", "imports of a driver in the application's sources", source_imports(edition)),
                Figure("entries", "entries of the contract", len(endpoints(lab=True, trace=True))),
            ]
            for place in PLACES:
                if (place, edition) in urls:
                    loaded = bench.run_inside(edition, "drivers", settings={"DATABASE_URL": urls[place, edition]})
                    figures += _figures(place, EXPECTED[place, edition], loaded, served[place, edition])
            measured[edition] = Figures(tuple(figures))
    return Finding(measured, notes=() if has_mariadb else (f"Not tried: {mariadb.missing()}.",))


def source_imports(edition: Edition, root: Path = ROOT) -> int:
    """Return how many imports of a driver stand in what a service runs: the edition's sources, and the shared ones."""
    paths = [*(root / f"{edition}_app").rglob("*.py"), *(root / "shared").rglob("*.py")]
    lab = root / "shared" / "lab"
    return sum(
        name.partition(".")[0] in DRIVERS
        for path in paths
        if not path.is_relative_to(lab)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in _imported(node)
    )


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module or ""


@contextmanager
def _fresh(bench: Bench) -> Iterator[dict[tuple[Place, Edition], str]]:
    """Yield the URL of a fresh database for each edition, on both servers as far as they are there."""
    bench.progress("C15: fresh databases")
    own = databases.new_pair(bench.urls["wsgi"], "claims")
    with ExitStack() as stack:
        stack.enter_context(databases.created(bench.urls["wsgi"], own))
        urls: dict[tuple[Place, Edition], str] = {
            ("postgresql", edition): url for edition, url in zip(EDITIONS, own, strict=True)
        }
        if mariadb.program() is not None:
            server = stack.enter_context(mariadb.running())
            urls |= {("mariadb", edition): mariadb.new_database(server, edition) for edition in EDITIONS}
        yield urls


def _serve(
    bench: Bench, urls: Mapping[tuple[Place, Edition], str], *, is_full: bool
) -> dict[tuple[Place, Edition], Served]:
    """Run every edition on every database and return what each answered."""
    settings, token = load({}, ""), secrets.token_urlsafe(24)
    bench.progress(f"C15: starting {len(urls)} services")
    with ExitStack() as stack:
        services = {
            (place, edition): Service(edition_spec(edition, check.environ(settings, url, token)))
            for (place, edition), url in urls.items()
        }
        with ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(stack.enter_context, services.values()))
        pairs: list[tuple[Place, Place]] = [("postgresql", "mariadb"), ("mariadb", "postgresql")]
        if ("mariadb", "wsgi") not in urls:
            pairs = [("postgresql", "postgresql")]
        found: dict[tuple[Place, Edition], Served] = {}
        for wsgi, asgi in pairs:
            bench.progress(f"C15: every entry, wsgi on {wsgi} against asgi on {asgi}")
            pair = services[wsgi, "wsgi"], services[asgi, "asgi"]
            compared = check.across(settings, pair, token, lambda _: None, scope="full" if is_full else "quick")
            found[wsgi, "wsgi"], found[asgi, "asgi"] = served(compared)
    return found


def served(compared: Comparison) -> tuple[Served, Served]:
    """Return what both sides of a comparison answered, WSGI first."""
    cases = sum(group.cases for group in compared.groups)
    broken = [[fact for fact in each.facts if fact.what == "rule"] for each in compared.found]
    wrong = (
        sum(any(fact.wsgi != FINE for fact in facts) for facts in broken),
        sum(any(fact.asgi != FINE for fact in facts) for facts in broken),
    )
    unequal = sum(not _is_version(each) for each in compared.found)
    return Served(cases, wrong[0], unequal), Served(cases, wrong[1], unequal)


def _is_version(difference: Difference) -> bool:
    """Tell whether answers differ in nothing but the version that the database tells of itself."""
    return all('"server_version": "' in fact.wsgi and '"server_version": "' in fact.asgi for fact in difference.facts)


def _figures(place: Place, expected: str, loaded: Mapping[str, Any], found: Served) -> list[Figure]:
    return [
        Figure(f"{place}_expected", f"driver that the URL of {place} should lead to", expected),
        Figure(f"{place}_driver", f"driver that the engine has on {place}", str(loaded["driver"])),
        Figure(f"{place}_early", f"drivers loaded on {place} by importing the service", len(loaded["after_import"])),
        Figure(f"{place}_late", f"driver modules loaded on {place} with the engine", ", ".join(loaded["after_engine"])),
        Figure(f"{place}_cases", f"cases answered on {place}", found.cases),
        Figure(f"{place}_wrong", f"answers on {place} that break the contract", found.wrong),
        Figure(f"{place}_unequal", f"answers on {place} that differ from the other edition's", found.unequal),
    ]  # fmt: skip


def rule(figures: Figures) -> Ruling:
    """Confirmed if no source imports a driver, each URL led to its own, and every answer was right and equal."""
    names = {figure.name for figure in figures.figures}
    tried = [place for place in PLACES if f"{place}_driver" in names]
    imports = figures.number("source_imports")
    early = sum(figures.number(f"{place}_early") for place in tried)
    drivers = [figures.text(f"{place}_driver") for place in tried]
    are_expected = all(
        figures.text(f"{place}_driver") == figures.text(f"{place}_expected")
        and figures.text(f"{place}_expected") in figures.text(f"{place}_late").split(", ")
        for place in tried
    )
    bad = sum(figures.number(f"{place}_{what}") for place in tried for what in ("wrong", "unequal"))
    least = min(figures.number(f"{place}_cases") for place in tried)
    said = (
        f"{imports:g} imports in the sources, {early:g} drivers loaded by the application, then "
        f"{' and '.join(drivers)} by the URL; {bad:g} wrong or unequal answers in {least:g} cases each"
    )
    if imports or early or not are_expected or bad or least < figures.number("entries"):
        return Ruling("refuted", said)
    if len(tried) < len(PLACES):
        return Ruling("undecided", f"{said}; the drivers of MariaDB were not tried")
    return Ruling("confirmed", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        names = {figure.name for figure in figures.figures}
        for place in PLACES:
            if f"{place}_driver" in names:
                parts.append(
                    f"{edition} on {place}: {figures.text(f'{place}_driver')}, loaded with the engine "
                    f"({figures.text(f'{place}_late')}) and not before it ({figures.number(f'{place}_early'):g}), "
                    f"{figures.number(f'{place}_cases'):g} cases answered, {figures.number(f'{place}_wrong'):g} "
                    f"wrongly, {figures.number(f'{place}_unequal'):g} unlike the other edition's on the other database."
                )
    imports = sum(figures.number("source_imports") for figures in finding.measured.values())
    return (
        f"{' '.join(parts)} The sources hold {imports:g} imports of a driver. SQLAlchemy's documentation says that "
        "the driver's name in a URL is that of the DBAPI to be used, and that a default one is imported where it is "
        "left out; here the project puts the edition's own driver there, as text. The answer that tells the database's "
        "version is not counted as unequal."
    )


CLAIM = Claim(
    number=15,
    statement="The driver is picked by the URL and never imported by the application.",
    prediction=(
        "The same sources, without an import of a driver, serve the whole contract by psycopg2, asyncpg, pymysql and "
        "aiomysql: each is loaded with the engine whose URL leads to it."
    ),
    method=(
        "Read every import of the application's sources. In a process per edition and URL: import the application, "
        "create its engine, query; after each step look which drivers Python has loaded. Then run both editions on "
        "fresh databases of a PostgreSQL and of a MariaDB, and send the parity check's cases, which hold every entry "
        "of the contract, to one edition on one database and to the other edition on the other database; answers are "
        "compared byte by byte."
    ),
    rule_words=(
        "Confirmed if no source imports a driver, none is loaded before the engine is created, each URL leads to the "
        "driver that is predicted, at least as many cases as entries are answered on each, and no answer is wrong or "
        "unequal, but for the version of the database; undecided without a MariaDB; refuted otherwise."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=15,
    options=(Option("full", 0, "1: all cases of the parity check, not only those of its quick scope", 0, 1),),
    sources=(
        Source("SQLAlchemy: Database URLs", "https://docs.sqlalchemy.org/en/21/core/engines.html#database-urls"),
        Source("SQLAlchemy: PostgreSQL", "https://docs.sqlalchemy.org/en/21/dialects/postgresql.html"),
        Source("SQLAlchemy: MySQL and MariaDB", "https://docs.sqlalchemy.org/en/21/dialects/mysql.html"),
    ),
)
