"""The one place where settings come from: the environment over `.env` over the defaults below.

`load()` reads, checks and freezes them; nothing else in the project reads an environment variable for a setting.
Durations are seconds, sizes bytes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from typing import Any
from typing import Literal
from typing import Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv import find_dotenv
from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import SecretStr
from pydantic import ValidationError
from pydantic import field_validator
from pydantic import model_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from .errors import UsageError

Edition = Literal["wsgi", "asgi"]
Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=3_600)]

# Families of names that are ours: a key that starts so and is not a setting is a typing error, wherever it stands.
OWNED_PREFIXES = (
    *("WSGI_", "ASGI_", "POOL_", "MAX_BODY", "MAX_UPLOAD", "MAX_HEADER", "MAX_LINE", "STATEMENT_"),
    "TRACE_",
)
POSTGRESQL_SCHEMES = frozenset({"postgresql", "postgres"})
MARIADB_SCHEMES = frozenset({"mysql", "mariadb"})
SECRETS = frozenset({"database_url", "check_token", "trace_token", "trace_otlp_endpoint"})


class Settings(BaseModel):
    """Every setting of both editions; field names are the environment's keys in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    database_url: SecretStr | None = Field(
        None,
        description="Database to use, without a driver (postgresql://..., mysql://...); unset: the embedded PostgreSQL",
    )
    data_dir: Path = Field(Path(".data"), description="Where the embedded PostgreSQL and other local state live")
    host: str = Field("127.0.0.1", min_length=1, description="Address both services listen on")

    wsgi_port: Port = Field(8001, description="Port of the WSGI edition")
    wsgi_workers: int = Field(1, ge=1, le=64, description="Processes of the WSGI edition")
    wsgi_threads: int = Field(10, ge=1, le=1_000, description="Threads in each WSGI process")
    asgi_port: Port = Field(8002, description="Port of the ASGI edition")
    asgi_workers: int = Field(1, ge=1, le=64, description="Processes of the ASGI edition")

    pool_size: int = Field(10, ge=1, le=1_000, description="Connections each process keeps")
    pool_max_overflow: int = Field(0, ge=0, le=1_000, description="Connections beyond them, closed on return")
    isolation_level: Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] = Field(
        "READ COMMITTED", description="Isolation of requests that write"
    )

    connect_timeout: Seconds = Field(1.0, description="Longest wait for a new connection")
    pool_timeout: Seconds = Field(2.0, description="Longest wait for a connection of the pool")
    statement_timeout: Seconds = Field(5.0, description="Longest run of one SQL statement")
    request_timeout: Seconds = Field(10.0, description="Longest wait for a client's next bytes, either way")
    graceful_timeout: Seconds = Field(15.0, description="Longest wait for accepted requests when stopping")
    keep_alive: Annotated[int, Field(ge=1, le=3_600)] = Field(
        5, description="How long an idle client connection stays open"
    )

    max_body_bytes: int = Field(1_048_576, ge=1, description="Largest request body, /upload excepted")
    max_upload_bytes: int = Field(1_073_741_824, ge=1, description="Largest body of /upload")
    max_header_count: int = Field(100, ge=10, le=10_000, description="Most header fields of one request")
    # 8,190 is the most that gunicorn's parser can be told for the request line.
    max_header_bytes: int = Field(8_190, ge=1_024, le=65_536, description="Largest header field")
    max_line_bytes: int = Field(4_094, ge=256, le=8_190, description="Longest request line")

    lab: bool = Field(
        False, description="1 adds /blocking, which exists to do harm, and a watch over blocked loops and busy threads"
    )
    check_token: SecretStr | None = Field(
        None, description="Secret that lets the parity check choose random numbers; unset: nobody can"
    )

    trace: bool | None = Field(
        None, description="1 lets requests ask to be traced; unset: only where HOST is this machine alone"
    )
    trace_token: SecretStr | None = Field(
        None, description="Secret that tracing and reading traces then need; required for TRACE=1 on another HOST"
    )
    trace_entries: int = Field(200, ge=1, le=100_000, description="Most traces that are kept")
    trace_bytes: int = Field(67_108_864, ge=65_536, description="Most that kept traces may take, in bytes")
    trace_age: Annotated[float, Field(gt=0, le=31_536_000)] = Field(
        3_600.0, description="How long a trace is kept, in seconds"
    )
    trace_otlp_endpoint: SecretStr | None = Field(
        None, description="OpenTelemetry receiver of traces (http://127.0.0.1:4318/v1/traces); unset: none"
    )

    sample_load: bool = Field(
        False, description="1 adds to /metrics how late the event loop runs, or how many threads are busy"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What the servers log")

    @field_validator("database_url")
    @classmethod
    def _names_a_known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        try:
            name = make_url(value.get_secret_value()).drivername
        except (ArgumentError, ValueError):
            raise ValueError("expected a URL such as postgresql://user:password@host/database") from None
        if name.partition("+")[0] not in POSTGRESQL_SCHEMES | MARIADB_SCHEMES:
            raise ValueError(f"expected a URL that begins with postgresql:// or mysql://, got {name}://")
        return value

    @field_validator("check_token", "trace_token")
    @classmethod
    def _is_no_empty_secret(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value() else None

    @field_validator("trace_otlp_endpoint")
    @classmethod
    def _is_a_receivers_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        text = value.get_secret_value()
        try:
            parts = urlsplit(text)
            is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable or not text.isprintable() or " " in text:
            raise ValueError("expected a URL such as http://127.0.0.1:4318/v1/traces, or https://")
        return value

    @model_validator(mode="after")
    def _timeouts_form_a_ladder(self) -> Self:
        ladder = ("connect_timeout", "pool_timeout", "statement_timeout", "request_timeout", "graceful_timeout")
        for inner, outer in pairwise(ladder):
            if not getattr(self, inner) < getattr(self, outer):
                raise ValueError(
                    f"{inner.upper()} must be less than {outer.upper()}, so that the inner wait ends first "
                    f"(got {getattr(self, inner):g} and {getattr(self, outer):g})"
                )
        if self.wsgi_port == self.asgi_port:
            raise ValueError(f"WSGI_PORT and ASGI_PORT must differ (both are {self.wsgi_port})")
        return self

    @model_validator(mode="after")
    def _foreign_clients_need_a_token_to_trace(self) -> Self:
        if self.trace and self.trace_token is None and not is_loopback(self.host):
            raise ValueError(
                f"TRACE=1 needs TRACE_TOKEN where other machines can connect (HOST is {self.host}): "
                "a trace shows what requests and answers hold"
            )
        return self

    @property
    def is_tracing(self) -> bool:
        """Whether requests may be traced."""
        return is_loopback(self.host) if self.trace is None else self.trace

    def port(self, edition: Edition) -> int:
        """Return the port of an edition."""
        return self.wsgi_port if edition == "wsgi" else self.asgi_port

    def workers(self, edition: Edition) -> int:
        """Return the number of processes of an edition."""
        return self.wsgi_workers if edition == "wsgi" else self.asgi_workers


@dataclass(frozen=True, slots=True)
class Origin:
    """One effective value: its key, the value as text with secrets masked, and where it came from."""

    key: str
    value: str
    source: str


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address is this machine's own, which no other machine reaches."""
    name = host.strip("[]")
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def load(environment: Mapping[str, str] | None = None, dotenv_path: str | None = None) -> Settings:
    """Return the effective settings.

    Args:
        environment: Taken instead of the process environment.
        dotenv_path: Taken instead of the nearest `.env` at or above the working directory.

    Raises:
        UsageError: If a value is unusable, a combination impossible or a key unknown; it names the key.
    """
    return _read(environment, dotenv_path)[0]


def describe(environment: Mapping[str, str] | None = None, dotenv_path: str | None = None) -> list[Origin]:
    """Return every effective value with its origin, in the order of the fields.

    Raises:
        UsageError: As `load` does.
    """
    settings, sources = _read(environment, dotenv_path)
    return [
        Origin(name.upper(), mask(name, getattr(settings, name)), sources.get(name, "default"))
        for name in Settings.model_fields
    ]


def mask(name: str, value: object) -> str:
    """Return a value as text that may be shown to anybody."""
    if value is None:
        return "embedded PostgreSQL" if name == "database_url" else "(unset)"
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        if name == "trace_otlp_endpoint":
            return _endpoint_without_secrets(secret)
        return _url_without_secrets(secret) if name == "database_url" else "***"
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _url_without_secrets(text: str) -> str:
    url = make_url(text)
    # libpq takes the password from the query as well.
    query = {key: "..." if "password" in key else value for key, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True)


def _endpoint_without_secrets(text: str) -> str:
    parts = urlsplit(text)
    # A receiver's key may stand in the name, the password or the query.
    _, mark, host = parts.netloc.rpartition("@")
    return parts._replace(netloc="***@" + host if mark else host, query=parts.query and "***", fragment="").geturl()


def _read(environment: Mapping[str, str] | None, dotenv_path: str | None) -> tuple[Settings, dict[str, str]]:
    process = os.environ if environment is None else environment
    path = find_dotenv(usecwd=True) if dotenv_path is None else dotenv_path
    file = {key: value or "" for key, value in dotenv_values(path).items()} if path else {}
    known = {name.upper() for name in Settings.model_fields}
    for key in sorted(file.keys() - known):
        raise _unknown(key, path)
    for key in sorted(key for key in process if key.startswith(OWNED_PREFIXES) and key not in known):
        raise _unknown(key, "the environment")

    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, mapping in ((str(path), file), ("environment", process)):
        for key in known & mapping.keys():
            # An empty value means "not set", as `KEY=` in a .env file does for people who clear a line.
            if mapping[key] == "":
                continue
            values[key.lower()] = mapping[key]
            sources[key.lower()] = source
    try:
        return Settings.model_validate(values), sources
    except ValidationError as error:
        raise _refused(error, values, sources) from None


def _unknown(key: str, where: str) -> UsageError:
    return UsageError(
        f"Unknown setting {key}",
        why=f"it stands in {where}, and no setting has that name",
        hint="See .env.example for every setting, or run: make config",
    )


def _refused(error: ValidationError, values: Mapping[str, Any], sources: Mapping[str, str]) -> UsageError:
    first = error.errors(include_url=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return UsageError(f"Impossible settings: {message}", hint="Run make config after the change")
    name = str(first["loc"][0])
    shown = "***" if name in SECRETS else repr(values.get(name))
    return UsageError(
        f"{name.upper()} is not usable: {message} (got {shown})",
        why=f"it comes from {sources.get(name, 'the defaults')}",
        hint="See .env.example for what it means",
    )
