"""Settings: where they come from, which are refused, and that a secret is never shown."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.config import SECRETS
from shared.config import Edition
from shared.config import Settings
from shared.config import describe
from shared.config import load
from shared.config import mask
from shared.engine import DRIVERS
from shared.engine import engine_url
from shared.errors import UsageError
from shared.twins import ROOT

PASSWORD = "hunter2-in-the-url"
TOKEN = "hunter2-in-the-token"
TRACE_TOKEN = "hunter2-in-the-other-token"


def dotenv(directory: Path, text: str) -> str:
    """Write a .env file and return its path."""
    path = directory / ".env"
    path.write_text(text, "utf-8")
    return str(path)


def test_environment_wins_over_dotenv_over_default(tmp_path: Path) -> None:
    path = dotenv(tmp_path, "POOL_SIZE=4\nWSGI_PORT=9001\n")
    settings = load({"POOL_SIZE": "7"}, path)
    assert (settings.pool_size, settings.wsgi_port, settings.asgi_port) == (7, 9001, 8002)
    origins = {origin.key: (origin.value, origin.source) for origin in describe({"POOL_SIZE": "7"}, path)}
    assert origins["POOL_SIZE"] == ("7", "environment")
    assert origins["WSGI_PORT"] == ("9001", path)
    assert origins["ASGI_PORT"] == ("8002", "default")
    assert list(origins) == [name.upper() for name in Settings.model_fields]


def test_dotenv_is_found_at_or_above_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv(tmp_path, "POOL_SIZE=4\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert load({}).pool_size == 4


def test_empty_value_means_not_set(tmp_path: Path) -> None:
    """`KEY=` is how people clear a line; it is no empty text, and it hides nothing below it."""
    path = dotenv(tmp_path, "DATABASE_URL=\nPOOL_SIZE=4\nCHECK_TOKEN\n")
    settings = load({"POOL_SIZE": ""}, path)
    assert settings.database_url is None
    assert settings.check_token is None
    assert settings.pool_size == 4


def test_dotenv_does_not_leak_into_the_environment(tmp_path: Path) -> None:
    load({}, dotenv(tmp_path, "POOL_SIZE=4\n"))
    assert "POOL_SIZE" not in os.environ


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().pool_size = 3  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    "key",
    [
        *("POOL_SIZ", "WSGI_THREAD", "ASGI_THREADS", "POOL_MAX", "MAX_BODY", "STATEMENT_TIMEOUTS", "MAX_HEADER_SIZE"),
        *("TRACE_TOKENS", "TRACE_"),
    ],
)
def test_unknown_key_with_our_prefix_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match=f"Unknown setting {key}.*environment"):
        load({key: "1"}, "")


@pytest.mark.parametrize("key", ["POOL_SIZ", "PORT", "pool_size", "WORKERS"])
def test_any_unknown_key_in_dotenv_is_refused(tmp_path: Path, key: str) -> None:
    path = dotenv(tmp_path, f"{key}=1\n")
    with pytest.raises(UsageError, match=f"Unknown setting {key}.*{path}"):
        load({}, path)


def test_foreign_keys_of_the_environment_are_nobodys_business() -> None:
    assert load({"PATH": "/bin", "PORT": "1", "DJANGO_POOL_SIZE": "1"}, "") == Settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("WSGI_PORT", "http"),
        ("WSGI_PORT", "0"),
        ("WSGI_PORT", "65536"),
        ("POOL_SIZE", "ten"),
        ("POOL_SIZE", "0"),
        ("POOL_SIZE", "1.5"),
        ("POOL_TIMEOUT", "soon"),
        ("POOL_TIMEOUT", "nan"),
        ("POOL_TIMEOUT", "inf"),
        ("CONNECT_TIMEOUT", "-1"),
        ("CONNECT_TIMEOUT", "0"),
        ("LAB", "perhaps"),
        ("LOG_LEVEL", "loud"),
        ("ISOLATION_LEVEL", "CHAOS"),
        ("KEEP_ALIVE", "0"),
        ("MAX_LINE_BYTES", "8191"),
        ("TRACE", "values"),
        ("TRACE_ENTRIES", "0"),
        ("TRACE_BYTES", "1000"),
        ("TRACE_AGE", "0"),
        ("TRACE_AGE", "inf"),
    ],
)
def test_wrong_value_is_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(UsageError) as refusal:
        load({key: value}, "")
    assert str(refusal.value).startswith(f"{key} is not usable: ")
    assert repr(value) in str(refusal.value)
    assert "environment" in refusal.value.why
    assert "\n" not in str(refusal.value)


LADDER = ("CONNECT_TIMEOUT", "POOL_TIMEOUT", "STATEMENT_TIMEOUT", "REQUEST_TIMEOUT", "GRACEFUL_TIMEOUT")


@pytest.mark.parametrize(("inner", "outer"), list(pairwise(LADDER)))
def test_timeouts_must_form_a_ladder(inner: str, outer: str) -> None:
    """Equal is not less: the inner wait must end first."""
    value = str(getattr(Settings(), outer.lower()))
    with pytest.raises(UsageError, match=f"Impossible settings: {inner} must be less than {outer}"):
        load({inner: value}, "")


def test_equal_ports_are_refused() -> None:
    with pytest.raises(UsageError, match="WSGI_PORT and ASGI_PORT must differ"):
        load({"WSGI_PORT": "8002"}, "")


@pytest.mark.parametrize(
    ("host", "is_tracing"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("localhost.example.org", False),
        ("example.org", False),
    ],
)
def test_requests_are_traced_where_only_this_machine_can_send_them(host: str, is_tracing: bool) -> None:
    assert load({"HOST": host}, "").is_tracing is is_tracing
    assert load({"HOST": host, "TRACE": "0"}, "").is_tracing is False
    assert load({"HOST": host, "TRACE": "1", "TRACE_TOKEN": TRACE_TOKEN}, "").is_tracing is True


def test_tracing_for_other_machines_needs_a_token() -> None:
    with pytest.raises(
        UsageError, match=r"Impossible settings: TRACE=1 needs TRACE_TOKEN .*HOST is 0\.0\.0\.0"
    ) as found:
        load({"HOST": "0.0.0.0", "TRACE": "1", "TRACE_TOKEN": " "}, "")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///x.db",
        "oracle://a/b",
        "nonsense",
        "http://example.com",
        "postgresql",
        "://",
        "postgres_ql://x/y",
    ],
)
def test_database_url_must_name_a_known_database(url: str) -> None:
    with pytest.raises(UsageError, match="DATABASE_URL is not usable"):
        load({"DATABASE_URL": url}, "")


@pytest.mark.parametrize("edition", ["wsgi", "asgi"])
def test_each_edition_adds_its_own_driver(edition: Edition) -> None:
    for scheme in ("postgresql", "postgres"):
        url = engine_url(f"{scheme}://u:p@h:5/d?host=/x", edition)
        assert url.drivername == f"postgresql+{DRIVERS[edition][0]}"
        assert (url.username, url.password, url.host, url.port, url.database) == ("u", "p", "h", 5, "d")


@pytest.mark.parametrize("edition", ["wsgi", "asgi"])
def test_driver_that_the_edition_can_use_is_kept(
    edition: Edition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is installed; what is there stands for it, wherever the environment has none."""
    (tmp_path / "psycopg").mkdir()
    (tmp_path / "psycopg" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert engine_url("postgresql+psycopg://h/d", edition).drivername == "postgresql+psycopg"


@pytest.mark.parametrize(("edition", "driver"), [("wsgi", "psycopg2"), ("asgi", "asyncpg")])
def test_own_driver_may_be_named(edition: Edition, driver: str) -> None:
    assert engine_url(f"postgresql+{driver}://h/d", edition).drivername == f"postgresql+{driver}"


@pytest.mark.parametrize(("edition", "driver"), [("wsgi", "asyncpg"), ("asgi", "psycopg2"), ("wsgi", "nonsense")])
def test_driver_of_the_other_edition_is_refused(edition: Edition, driver: str) -> None:
    with pytest.raises(UsageError) as refusal:
        engine_url(f"postgresql+{driver}://u:{PASSWORD}@h/d", edition)
    assert f"driver {driver}" in refusal.value.what
    assert DRIVERS[edition][0] in refusal.value.why
    assert PASSWORD not in str(refusal.value)


def test_secrets_are_never_shown() -> None:
    environment = {
        "DATABASE_URL": f"postgresql://me:{PASSWORD}@host/db",
        "CHECK_TOKEN": TOKEN,
        "TRACE_TOKEN": TRACE_TOKEN,
    }
    shown = "\n".join(f"{origin}" for origin in describe(environment, ""))
    for secret in (PASSWORD, TOKEN, TRACE_TOKEN):
        assert secret not in shown
        assert secret not in repr(load(environment, ""))
    assert "postgresql://me:***@host/db" in shown


def test_refused_secrets_are_never_shown() -> None:
    for environment in (
        {"DATABASE_URL": f"mssql://me:{PASSWORD}@host/db"},
        {"DATABASE_URL": f"{PASSWORD}"},
        {"DATABASE_URL": f"postgresql://me:{PASSWORD}@host:port/db"},
        {"DATABASE_URL": f"postgresql://me:{PASSWORD}@host/db", "CONNECT_TIMEOUT": "9"},
    ):
        with pytest.raises(UsageError) as refusal:
            load(environment, "")
        assert PASSWORD not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://host/db?user=me&password={PASSWORD}",
        f"postgresql://me:{PASSWORD}@/db?host=/tmp",
        f"postgresql+psycopg://me:{PASSWORD}@host/db",
    ],
)
def test_password_is_masked_wherever_it_stands(url: str) -> None:
    assert PASSWORD not in mask("database_url", load({"DATABASE_URL": url}, "").database_url)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:4318",
        "grpc://127.0.0.1:4317",
        "http://",
        "http:///v1/traces",
        f"http://me:{PASSWORD}@host:port/v1/traces",
        f"http://me:{PASSWORD}@host:99999/",
        f"http://me:{PASSWORD}@ho st/",
        f"ftp://me:{PASSWORD}@host/",
    ],
)
def test_receiver_of_traces_must_be_a_web_address(url: str) -> None:
    with pytest.raises(UsageError, match="TRACE_OTLP_ENDPOINT is not usable: expected a URL") as refusal:
        load({"TRACE_OTLP_ENDPOINT": url}, "")
    assert PASSWORD not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
        ("https://[::1]:4318/v1/traces", "https://[::1]:4318/v1/traces"),
        (f"https://me:{PASSWORD}@host/v1/traces", "https://***@host/v1/traces"),
        (f"https://{PASSWORD}@host/v1/traces?key={PASSWORD}#{PASSWORD}", "https://***@host/v1/traces?***"),
    ],
)
def test_receiver_of_traces_is_shown_without_secrets(url: str, shown: str) -> None:
    assert mask("trace_otlp_endpoint", load({"TRACE_OTLP_ENDPOINT": url}, "").trace_otlp_endpoint) == shown


def test_every_secret_is_a_secret_type() -> None:
    found = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert found == SECRETS


def example_lines() -> list[str]:
    """Return the lines of `.env.example`."""
    return (ROOT / ".env.example").read_text("utf-8").splitlines()


def test_example_file_holds_every_setting_with_its_default() -> None:
    values = dict(line.split("=", 1) for line in example_lines() if line and not line.startswith("#"))
    assert set(values) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        expected = "" if field.default is None else mask(name, field.default)
        assert values[name.upper()] == expected, name


def test_example_file_loads_as_the_defaults() -> None:
    assert load({}, str(ROOT / ".env.example")) == Settings()


def test_example_file_explains_every_setting() -> None:
    lines = example_lines()
    for before, line in pairwise(lines):
        if line and not line.startswith("#"):
            assert before.startswith("# "), line
            description = Settings.model_fields[line.partition("=")[0].lower()].description
            assert description
            assert before == f"# {description}."


def start(edition: Edition, directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Try to start an edition whose settings cannot work."""
    return subprocess.run(
        [sys.executable, "-m", f"{edition}_app"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"POOL_SIZE": "many"}, "POOL_SIZE is not usable"),
        ({"POOL_SIZZE": "1"}, "Unknown setting POOL_SIZZE"),
        ({"CONNECT_TIMEOUT": "2"}, "CONNECT_TIMEOUT must be less than POOL_TIMEOUT"),
        ({"DATABASE_URL": f"sqlite://me:{PASSWORD}@h/d"}, "DATABASE_URL is not usable"),
        ({"DATABASE_URL": f"postgresql+pg8000://me:{PASSWORD}@h/d"}, "the driver pg8000"),
        ({"HOST": "0.0.0.0", "TRACE": "1"}, "TRACE=1 needs TRACE_TOKEN"),
    ],
    ids=["type", "unknown", "ladder", "database", "driver", "trace"],
)
def test_bad_value_stops_the_start_with_one_line(
    edition: Edition, tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    done = start(edition, tmp_path, **environ)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    assert not list(tmp_path.iterdir())


def test_bad_dotenv_stops_the_start_with_its_path(edition: Edition, tmp_path: Path) -> None:
    path = dotenv(tmp_path, "POOL_SIZE=many\n")
    done = start(edition, tmp_path)
    assert done.returncode == 2
    assert "POOL_SIZE" in done.stderr
    assert path in done.stderr
    assert len(done.stderr.splitlines()) == 1
