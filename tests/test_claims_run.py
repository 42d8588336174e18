"""How experiments are run: each on databases that no other one has touched."""

from dataclasses import replace
from pathlib import Path

from shared.lab.claims import run
from shared.lab.claims.bench import Bench
from shared.lab.claims.c11_lazy_engine import CLAIM
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from tests.claim_records import made
from tests.lab_records import MANIFEST

FIGURES = made(before_most=0, engine_most=0, session_most=0, first_query_least=1, first_query_most=1)


def test_each_experiment_has_databases_of_its_own(database_url: str, tmp_path: Path) -> None:
    seen: list[str] = []

    def measure(bench: Bench, options: Options) -> Finding:
        seen.extend(bench.urls.values())
        return Finding({"shared": FIGURES})

    claims = [replace(CLAIM, number=number, measure=measure, explain=lambda _: "") for number in (1, 2)]
    found, _ = run.run(
        claims,
        {1: CLAIM.defaults, 2: CLAIM.defaults},
        url=database_url,
        manifest=MANIFEST,
        directory=tmp_path,
        progress=lambda _: None,
    )
    assert [outcome.overall.verdict for outcome in found.outcomes] == ["confirmed", "confirmed"]
    assert len(seen) == len(set(seen)) == 4


def test_the_time_told_is_of_the_options_that_an_experiment_has_by_itself(database_url: str, tmp_path: Path) -> None:
    told: list[str] = []
    own = Option("trials", 8, "how often", 1, 64)
    claims = [
        replace(
            CLAIM,
            number=number,
            measure=lambda *_: Finding({"shared": FIGURES}),
            explain=lambda _: "",
            seconds=25,
            options=(own,),
        )
        for number in (1, 2)
    ]
    run.run(
        claims,
        {1: {"trials": 8}, 2: {"trials": 64}},
        url=database_url,
        manifest=MANIFEST,
        directory=tmp_path,
        progress=told.append,
    )
    assert told[0].startswith("1 of 2, about 25 s: C1 ")
    assert told[1].startswith("2 of 2, about 25 s with its own options, other with those set: C2 ")
