"""A generator that yields once, around a block: what happens before and after it, in both editions."""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Iterator

import pytest

import asgi_app.concurrency
import wsgi_app.concurrency
from shared.config import Edition

Run = Callable[[Callable[[str], None]], list[str]]


def run_wsgi(block: Callable[[str], None]) -> list[str]:
    """Run a block, and return what happened around it."""
    seen: list[str] = []

    def generator() -> Iterator[str]:
        seen.append("before")
        try:
            yield "given"
            seen.append("after")
        except KeyError:
            raise LookupError("another") from None
        except BaseException as error:
            seen.append(type(error).__name__)
            raise
        finally:
            seen.append("closed")

    with wsgi_app.concurrency.Around(generator()) as given:
        block(given)
    return seen


def run_asgi(block: Callable[[str], None]) -> list[str]:
    """Run a block, and return what happened around it."""
    seen: list[str] = []

    async def generator() -> AsyncIterator[str]:
        seen.append("before")
        try:
            yield "given"
            seen.append("after")
        except KeyError:
            raise LookupError("another") from None
        except BaseException as error:
            seen.append(type(error).__name__)
            raise
        finally:
            seen.append("closed")

    async def main() -> None:
        async with asgi_app.concurrency.Around(generator()) as given:
            block(given)

    asyncio.run(main())
    return seen


RUNS: dict[Edition, Run] = {"wsgi": run_wsgi, "asgi": run_asgi}


@pytest.fixture
def run(edition: Edition) -> Run:
    return RUNS[edition]


def test_block_is_between_both_halves(run: Run) -> None:
    given: list[str] = []
    assert run(given.append) == ["before", "after", "closed"]
    assert given == ["given"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
def test_error_passes_through_the_generator_and_stays_itself(run: Run, kind: type[BaseException]) -> None:
    error = kind("what failed")

    def fail(_given: str) -> None:
        raise error

    with pytest.raises(kind) as caught:
        run(fail)
    assert caught.value is error
    assert error.__context__ is None
    assert caught.traceback[-1].name == "fail"


def test_error_of_the_generator_takes_its_place(run: Run) -> None:
    def fail(_given: str) -> None:
        raise KeyError("first")

    with pytest.raises(LookupError, match="another"):
        run(fail)
