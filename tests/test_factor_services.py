"""Variants as running services: each one answers as its edition does, and is what its name says."""

import json
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from shared.config import Edition
from shared.config import Settings
from shared.errors import NotComparable
from shared.lab.factors import distance
from shared.lab.factors import parity
from shared.lab.factors import variants as starting
from shared.lab.factors.choice import Variant
from shared.lab.factors.choice import choose
from shared.lab.services.process import Service
from shared.validation import SEED_HEADER
from shared.validation import TOKEN_HEADER
from tests.conftest import CHECK_TOKEN
from tests.conftest import NO_TLS

SETTINGS = Settings.model_validate({})
SEEDED = {TOKEN_HEADER: CHECK_TOKEN, SEED_HEADER: "7"}

StartVariant = Callable[..., Service]


@pytest.fixture
def start_variant(database_url: str, data_dir: Path, tmp_path: Path) -> Iterator[StartVariant]:
    """Return a function that starts an edition as some --factor have it; stopped afterwards."""
    with ExitStack() as stack:

        def start(edition: Edition, *words: str, url: str = database_url) -> Service:
            (variant,) = choose(words, SETTINGS)
            environ = {"DATABASE_URL": url, "DATA_DIR": str(data_dir), "CHECK_TOKEN": CHECK_TOKEN, "TRACE": "0"}
            spec = starting.spec(edition, variant, environ)
            return stack.enter_context(Service(spec, log_directory=tmp_path / "logs"))

        yield start


class Unexcused(Variant):
    """A variant for which nothing is excused."""

    def replaces_protocol(self, edition: Edition) -> bool:
        return False


def loaded(service: Service) -> set[str]:
    """Return the directories of the compiled modules that a service's processes have loaded."""
    paths = [m.path for pid in service.pids() for m in psutil.Process(pid).memory_maps() if "site-packages" in m.path]
    return {path.partition("site-packages/")[2].partition("/")[0] for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edition", "words", "server", "has", "lacks"),
    [
        ("asgi", ("server=gunicorn", "loop=asyncio", "serializer=orjson"), "gunicorn/asgi", "orjson", "uvloop"),
        ("asgi", ("server=granian", "session=run_sync", "processes=2"), "granian", "granian", "httptools"),
        ("asgi", ("parser=python", "driver=psycopg", "serializer=json"), "uvicorn", "psycopg_binary", "httptools"),
        ("wsgi", ("server=granian", "serializer=json", "threads=3"), "granian", "granian", "gunicorn_h1c"),
        (
            "wsgi",
            ("parser=python", "driver=psycopg", "serializer=orjson"),
            "gunicorn",
            "psycopg_binary",
            "gunicorn_h1c",
        ),
    ],
)
def test_variant_answers_as_its_edition_and_is_what_it_says(
    services: dict[Edition, Service],
    start_variant: StartVariant,
    edition: Edition,
    words: tuple[str, ...],
    server: str,
    has: str,
    lacks: str,
) -> None:
    variant = start_variant(edition, *words)
    for target in ("/db", "/queries?queries=5", "/accounts?limit=3", "/fortunes", "/json"):
        answers = [httpx.get(each.url + target, headers=SEEDED, verify=NO_TLS) for each in (services[edition], variant)]
        own, other = ((answer.status_code, answer.headers["content-type"], answer.content) for answer in answers)
        assert other == own
    assert answers[1].headers["server"] == server
    modules = loaded(variant)
    assert any(name.startswith(has) for name in modules)
    assert not any(name.startswith(lacks) for name in modules)


@pytest.mark.slow
def test_variant_without_a_pool_connects_for_each_request(edition: Edition, start_variant: StartVariant) -> None:
    variant = start_variant(edition, "pool=null")
    with httpx.Client(base_url=variant.url, verify=NO_TLS) as client:
        client.get("/db")
        before = client.get("/pool").json()["totals"]["connects"]
        for _ in range(3):
            assert client.get("/db").status_code == 200
        after = client.get("/pool").json()
    assert after["totals"]["connects"] - before == 3
    assert (after["checked_out"], after["size"]) == (0, 10)


@pytest.mark.slow
def test_edition_with_a_database_far_away_waits_for_it(
    database_url: str, services: dict[Edition, Service], start_variant: StartVariant
) -> None:
    """A query is a round trip: 20 of them at 10 ms take at least 0.2 s, in both editions."""
    with distance.at(database_url, 10.0) as distant:
        for edition in ("wsgi", "asgi"):
            variant = start_variant(edition, "latency=10", url=distant.url)
            with httpx.Client(verify=NO_TLS, headers=SEEDED) as client:
                client.get(variant.url + "/db")
                answer = client.get(variant.url + "/queries?queries=20")
                own = client.get(services[edition].url + "/queries?queries=20")
            assert answer.content == own.content
            assert 0.19 < answer.elapsed.total_seconds() < 2.0


def test_session_style_runs_the_twin_as_one_unit() -> None:
    """Every endpoint with a session but the streams; the control's own function stands in the endpoint's place."""
    program = (
        "import json; from shared.lab.controls import variant; variant.apply(['asgi', '--session', 'run_sync'])\n"
        "import asgi_app.endpoints as e\n"
        "names = ('db', 'updates', 'create_transfer', 'stream', 'json')\n"
        "print(json.dumps({name: getattr(e, name).__module__ for name in names}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    control = "shared.lab.controls.overrides"
    assert json.loads(done.stdout) == {
        "db": control, "updates": control, "create_transfer": control,
        "stream": "asgi_app.endpoints", "json": "asgi_app.endpoints",
    }  # fmt: skip


@pytest.mark.slow
def test_variant_that_answers_otherwise_ends_the_comparison(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edition under gunicorn's own server differs in words behind status codes; unless excused, nothing is timed."""
    settings = Settings.model_validate({"database_url": database_url})
    (chosen,) = choose(["server=gunicorn"], settings)
    variant = Unexcused(chosen.label, chosen.swapped)
    with pytest.raises(NotComparable) as caught:
        parity.check_variants(settings, database_url, [variant], lambda text: None)
    assert "asgi server=gunicorn does not answer as the editions do" in caught.value.what
    assert "header x-trace-id" in caught.value.why
