"""C25: the database guarantees data safety, SQLAlchemy does not."""

from collections.abc import Sequence
from typing import Any

from shared.config import Edition
from shared.lab.claims import lost_updates
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Bar
from shared.lab.claims.claim import Bars
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Lane
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Picture
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Span
from shared.lab.claims.claim import Subject
from shared.lab.claims.claim import Timeline
from shared.lab.claims.lost_updates import LEVELS
from shared.lab.claims.lost_updates import STRATEGIES
from shared.lab.claims.lost_updates import Crowded
from shared.lab.claims.lost_updates import Round
from shared.lab.statistics import MINIMUM_ROUNDS
from shared.lab.statistics import paired_difference

# The one that asks the database for nothing: it reads, adds in Python, and writes what it has added up.
NAIVE = "naive"
STRONGEST = LEVELS[-1]
# How often the two scripted writers meet at each level for one round of the crowd.
MEETINGS_PER_TRIAL = 4


def slug(level: str) -> str:
    """Return a level as part of a figure's name."""
    return level.lower().replace(" ", "_")


def measure(bench: Bench, options: Options) -> Finding:
    """Let clients deposit at once by every strategy at every level; then let two writers meet step by step."""
    clients, deposits, trials = (int(options[name]) for name in ("clients", "deposits", "trials"))
    measured: dict[Subject, Figures] = {}
    pictures: list[Picture] = []
    for edition in EDITIONS:
        crowded = lost_updates.measure_edition(bench, edition, clients=clients, deposits=deposits, trials=trials)
        bench.progress(f"C25: {edition}, two writers that meet step by step")
        meetings = MEETINGS_PER_TRIAL * trials
        scripted = bench.run_inside(edition, "anomalies", scenes=["lost_update"], levels=LEVELS, trials=meetings)
        measured[edition] = Figures((*_crowd_figures(crowded), *_scripted_figures(scripted["lost_update"], meetings)))
        pictures.append(_bars(edition, crowded))
        pictures.append(_timeline(edition, scripted["lost_update"]))
    return Finding(measured, tuple(pictures))


def _crowd_figures(crowded: Crowded) -> list[Figure]:
    found = [
        Figure("default_level", "the database's isolation level unless another is asked for", crowded.default_level)
    ]
    for (strategy, level), rounds in crowded.rounds.items():
        name, label, trials = f"{strategy}_{slug(level)}", f"{strategy} at {level}", len(rounds)
        found.append(
            Figure(f"{name}_accepted", f"{label}: accepted", sum(each.accepted for each in rounds), trials=trials)
        )
        found.append(
            Figure(f"{name}_refused", f"{label}: refused", sum(each.refused for each in rounds), trials=trials)
        )
        found.append(
            Figure(f"{name}_lost", f"{label}: accepted and lost", sum(each.lost for each in rounds), trials=trials)
        )
        if strategy == NAIVE:
            often = sum(each.lost > 0 for each in rounds)
            found.append(Figure(f"{name}_rounds", f"{label}: rounds that lost at least one", often, trials=trials))
            share, low, high = _share(rounds)
            text = f"{label}: share of accepted lost"
            found.append(Figure(f"{name}_share", text, share, "%", trials, low, high))
    for level, moves in crowded.moves.items():
        name, label, trials = f"transfers_{slug(level)}", f"transfers at {level}", len(moves)
        found.append(
            Figure(f"{name}_accepted", f"{label}: accepted", sum(each.accepted for each in moves), trials=trials)
        )
        found.append(Figure(f"{name}_refused", f"{label}: refused", sum(each.refused for each in moves), trials=trials))
        changed = sum(each.change != 0 or each.strays > 0 for each in moves)
        found.append(
            Figure(
                f"{name}_changed",
                f"{label}: rounds in which the sum or a balance is not as due",
                changed,
                trials=trials,
            )
        )
    return found


def _scripted_figures(played: dict[str, Any], meetings: int) -> list[Figure]:
    found = []
    for level in LEVELS:
        name, label = f"meeting_{slug(level)}", f"two writers at {level}"
        lost, refused = int(played[level]["appeared"]), int(played[level]["refused"])
        found.append(Figure(f"{name}_lost", f"{label}: an update was lost", lost, trials=meetings))
        found.append(Figure(f"{name}_refused", f"{label}: the database refused one", refused, trials=meetings))
    return found


def _share(rounds: Sequence[Round]) -> tuple[float, float | None, float | None]:
    """Return which share of the accepted deposits was lost, in percent, with its 95 % interval where there is one.

    The mean of the rounds with Student's interval; where nothing was lost, which has no scatter, up to `bound`.
    """
    shares = [100.0 * each.lost / each.accepted for each in rounds if each.accepted]
    if not any(shares):
        return 0.0, 0.0, bound(sum(each.accepted for each in rounds))
    if len(shares) < MINIMUM_ROUNDS:
        return sum(shares) / len(shares), None, None
    mean = paired_difference(shares, [0.0] * len(shares))
    return mean.value, max(mean.low, 0.0), min(mean.high, 100.0)


def _bars(edition: Edition, crowded: Crowded) -> Bars:
    bars = [Bar(strategy, level, *_share(rounds)) for (strategy, level), rounds in crowded.rounds.items()]
    return Bars(f"Lost updates, {edition}", "accepted deposits that were lost, %", tuple(bars))


def _timeline(edition: Edition, played: dict[str, Any]) -> Timeline:
    """Return one meeting of the two writers at each level, each from its own beginning."""
    lanes = []
    for level in LEVELS:
        steps = played[level]["steps"]
        origin = steps[0][2]
        for writer, name in enumerate(("first", "second")):
            spans = tuple(
                Span((begin - origin) / 1e9, (end - origin) / 1e9, kind)
                for session, kind, begin, end in steps
                if session == writer
            )
            lanes.append(Lane(f"{level}, {name} writer", spans))
    return Timeline(f"Two writers add 1 to one balance, {edition}", tuple(lanes))


def rule(figures: Figures) -> Ruling:
    """Judge from what was lost where, and from the level at which the database begins by itself."""
    asked = [
        (strategy, level) for strategy in STRATEGIES for level in LEVELS if strategy != NAIVE or level == STRONGEST
    ]
    cells = [(strategy, level) for strategy in STRATEGIES for level in LEVELS]
    broken = [f"{strategy} at {level}" for strategy, level in asked if _lost(figures, strategy, level) != 0]
    broken += [f"{NAIVE} at {level}" for level in LEVELS[:-1] if _lost(figures, NAIVE, level) < 0]
    broken += [f"two writers at {STRONGEST}"] * (figures.number(f"meeting_{slug(STRONGEST)}_lost") > 0)
    broken += [f"transfers at {level}" for level in LEVELS if figures.number(f"transfers_{slug(level)}_changed") > 0]
    if broken:
        return Ruling("refuted", f"balances are not what was accepted: {', '.join(broken)}")
    empty = [f"{strategy} at {level}" for strategy, level in cells if _accepted(figures, strategy, level) == 0]
    empty += [f"transfers at {level}" for level in LEVELS if figures.number(f"transfers_{slug(level)}_accepted") == 0]
    losing = [
        level
        for level in LEVELS
        if _lost(figures, NAIVE, level) > 0 or figures.number(f"meeting_{slug(level)}_lost") > 0
    ]
    if empty or not losing:
        return Ruling(
            "undecided", f"nothing was accepted: {', '.join(empty)}" if empty else "nothing was lost anywhere"
        )
    said = ", ".join(
        f"{_lost(figures, NAIVE, level):g} of {_accepted(figures, NAIVE, level):g} at {level}" for level in LEVELS
    )
    kept = sum(_accepted(figures, strategy, level) for strategy, level in asked if strategy != NAIVE)
    default = figures.text("default_level")
    because = (
        f"reading, adding in Python and writing, the same code at each level, lost {said}; the other strategies lost "
        f"none of {kept:g} at any level; {default} is the database's own level"
    )
    if default in losing:
        return Ruling("depends", f"on what the database is asked for: {because}")
    return Ruling("confirmed", because)


def _lost(figures: Figures, strategy: str, level: str) -> float:
    return figures.number(f"{strategy}_{slug(level)}_lost")


def _accepted(figures: Figures, strategy: str, level: str) -> float:
    return figures.number(f"{strategy}_{slug(level)}_accepted")


def bound(accepted: float) -> float:
    """Return the largest share, in percent, that none lost of so many still allows, with 95 % confidence.

    The share p at which no loss in n independent deposits has a probability of 5 %: 1 - 0.05^(1/n) (Hanley and
    Lippman-Hand 1983, "If Nothing Goes Wrong, Is Everything All Right?", JAMA 249).
    """
    return 100.0 * (1.0 - 0.05 ** (1.0 / accepted)) if accepted else 100.0


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = [f"{edition}: {_told(figures)}" for edition, figures in finding.measured.items()]
    return (
        f"{' '.join(parts)} Nothing in Python differs between the levels: ISOLATION_LEVEL is passed on with the "
        "transaction. At READ COMMITTED a statement sees what was committed before it began, and an UPDATE that has "
        "waited for a row goes on with the row's new version: adding inside the UPDATE is safe; writing a sum made "
        "from an earlier read is not, unless that read has locked the row, or the UPDATE asks for the version that was "
        "read. At REPEATABLE READ and SERIALIZABLE a transaction cannot change a row that another one has changed "
        "since it began: the database refuses it, the service answers 409, and the client has to send it again. So the "
        "database guarantees what the level, the lock or the single statement that it is asked for promises; "
        "SQLAlchemy passes on what it is told."
    )


def _told(figures: Figures) -> str:
    naive = []
    for level in LEVELS:
        rounds = figures[f"{NAIVE}_{slug(level)}_rounds"]
        naive.append(
            f"{_lost(figures, NAIVE, level):g} of {_accepted(figures, NAIVE, level):g} accepted at {level} "
            f"({figures.number(f'{NAIVE}_{slug(level)}_refused'):g} refused; a loss in {rounds.value} of "
            f"{rounds.trials} rounds)"
        )
    others = [_accepted(figures, strategy, level) for strategy in STRATEGIES for level in LEVELS if strategy != NAIVE]
    meetings = [figures[f"meeting_{slug(level)}_lost"] for level in LEVELS]
    met = ", ".join(f"{each.value} of {each.trials} at {level}" for each, level in zip(meetings, LEVELS, strict=True))
    return (
        f"naive deposits lost {', '.join(naive)}. The four other strategies lost none of {sum(others):g} accepted; the "
        f"fewest behind one of their twelve zeros are {min(others):g}, which still allow a loss of "
        f"{bound(min(others)):.2g} % (95 %, if deposits are independent). Two writers in a fixed order lost an update "
        f"in {met}."
    )


CLAIM = Claim(
    number=25,
    statement="The database guarantees data safety, SQLAlchemy does not.",
    prediction=(
        "Deposits that read, add in Python and write (naive) lose updates at READ COMMITTED and none at REPEATABLE "
        "READ and SERIALIZABLE, with the same SQLAlchemy code; atomic, locked, versioned and serializable deposits "
        "lose none at any level; transfers keep the sum. So the guarantee is the database's, and depends on what it "
        "is asked for."
    ),
    method=(
        "For each edition one service for each ISOLATION_LEVEL. In each round, for each of the five strategies at "
        "each level in shuffled order, clients begin at the same moment and each sends deposits of 1 to one account; "
        "lost is what was answered 200 less what the balance has grown by, as the database tells it; 409 is counted "
        "as refused. Then, at each level, the clients transfer amounts among four accounts. Last, in a process with "
        "the edition's own modules, two sessions meet in a fixed order at each level: both read, the first adds 1 to "
        "what it read, writes and commits, then the second does."
    ),
    rule_words=(
        "Refuted if a balance is not what was accepted although the database was asked for it (atomic, locked, "
        "versioned and serializable at any level, naive and the two writers at SERIALIZABLE, transfers), or has grown "
        "by more than was accepted. Else undecided if nothing was accepted somewhere, or nothing was lost anywhere, "
        "because then nothing met. Else depends if naive deposits or the two writers lost an update at the level that "
        "the database has by itself, and confirmed if they lost some at another level only."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=25,
    options=(
        Option("clients", 8, "clients that deposit at once", 2, 64),
        Option("deposits", 3, "deposits that each client sends in a round", 1, 200),
        Option("trials", 5, "rounds", 1, 200),
    ),
    sources=(
        Source("PostgreSQL: Transaction Isolation", "https://www.postgresql.org/docs/18/transaction-iso.html"),
        Source(
            "SQLAlchemy: Setting Transaction Isolation Levels",
            "https://docs.sqlalchemy.org/en/21/orm/session_transaction.html",
        ),
    ),
)
