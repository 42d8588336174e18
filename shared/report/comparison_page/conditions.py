"""What a comparison's figures rest on: doubts, how it was measured, where and with what."""

from collections.abc import Iterable
from collections.abc import Mapping

from shared.lab.results.record import Comparison
from shared.report import commands
from shared.report import format
from shared.report import load
from shared.report import terms
from shared.report.comparison_page.every import notice
from shared.report.page.content import Block
from shared.report.page.content import Command
from shared.report.page.content import Details
from shared.report.page.content import Facts
from shared.report.page.content import Notice
from shared.report.page.content import Point
from shared.report.page.content import Points
from shared.report.page.content import Section
from shared.report.page.content import Table
from shared.report.page.content import Text


def doubts(comparison: Comparison) -> Section:
    """Return every reason not to trust a figure, and what to do about it."""
    by_code: dict[str, list[Notice]] = {}
    for doubt in comparison.doubts:
        by_code.setdefault(doubt.code, []).append(notice(comparison, doubt))
    blocks: list[Block] = []
    for code, notices in by_code.items():
        first = notices[0]
        if len(notices) == 1:
            blocks.append(first)
            continue
        where = f"{len(notices)} times"
        blocks.append(Notice(code, where, f"First, {first.where}: {first.text}", first.next_step))
        points = tuple(Point(each.text, f"{each.where}:") for each in notices)
        blocks.append(Details(f"All {len(notices)} of {code}", (Points(points),)))
    if not blocks:
        blocks.append(Text("None of the checks found a reason to doubt a figure."))
    foreign = tuple((each.scenario, str(each.load), f"{each.cores:.2f}") for each in comparison.foreign_load)
    if foreign:
        table = Table(("scenario", "load", "cores"), foreign, "Foreign load", words=2)
        blocks.append(Details("Cores that other programs used meanwhile", (table,)))
    return Section("doubts", "Doubts", blocks, "What was seen that speaks against a figure, and what to do about it.")


def method(comparison: Comparison, *, has_validity: bool) -> Section:
    """Return how it was measured, and how to see that this can be believed."""
    timing, manifest = comparison.timing, comparison.manifest
    apart = manifest.core_roles.get("apart") == "yes"
    points = [
        Point("Before anything was timed both sides had to answer alike, or the command would have ended.", "Parity:"),
        Point(
            f"{timing.rounds} rounds of {timing.window_s:g} s for each subject, in seeded random order of mirrored "
            f"pairs (A B, B A), seed {manifest.seed}; warm-up before, until the rate was steady.",
            "Rounds:",
        ),
        Point(
            "95 %, from whole rounds, paired. A ratio is the geometric mean over rounds. Where the interval holds 1, "
            "no difference is claimed.",
            "Intervals:",
        ),
        Point(
            f"Server and load client {'on processors of their own' if apart else 'share processors'} (server"
            f" {manifest.core_roles.get('server', '?')}, client {manifest.core_roles.get('client', '?')}).",
            "Processors:",
        ),
        Point("Only answers with a 2xx status count as throughput; errors stand apart.", "Errors:"),
        Point(
            f"{sum(len(piece.samples) for piece in comparison.slices):,} of them lie beside this page.", "Raw samples:"
        ),
    ]
    points += [Point(text) for text in load.notes(comparison)]
    if comparison.terms is not None:
        points += [Point(text) for text in terms.notes(comparison.terms)]
    blocks: list[Block] = [Points(tuple(points))]
    if not has_validity:
        blocks.append(
            Notice(
                "not_validated",
                "",
                "No result of the instrument's own validation lies beside this one: known delays, the same code "
                "against itself, planted differences, and agreement with another load generator.",
                "make validate, then make report",
            )
        )
    return Section("method", "How it was measured", blocks)


def manifest(comparison: Comparison) -> Section:
    """Return everything that is known of when, where and with what it was measured."""
    made = comparison.manifest
    dirty = {True: ", with changes that no commit holds", False: "", None: ""}[made.git_dirty]
    facts = (
        ("started", made.time_utc),
        ("command", commands.whole(comparison)),
        ("seed", str(made.seed)),
        ("commit", f"{made.git_commit or 'unknown'}{dirty}"),
        ("schema version of the result", str(comparison.schema_version)),
        ("Python", made.python),
        ("database", made.database_version or "not asked"),
        ("processor", made.cpu_model),
        ("processors", str(made.cores)),
        *((f"processors: {role}", value) for role, value in made.core_roles.items()),
        ("frequency governor", made.governor or "cannot be read"),
        ("memory", f"{made.memory_bytes / 2**30:.1f}{format.NO_BREAK}GiB"),
        ("kernel", made.kernel),
        ("load average before", ", ".join(f"{value:.2f}" for value in made.load_average)),
    )
    timing = comparison.timing
    times = tuple((name, str(getattr(timing, name))) for name in timing.__slots__)
    scenarios = tuple((each.name, f"{each.method} {each.target}") for each in comparison.scenarios)
    packages = tuple(made.packages.items())
    return Section(
        "manifest",
        "Where and with what",
        [
            Facts(facts),
            Details("Versions of packages", (Facts(packages),), is_open=True),
            Details("Settings of the services", tuple(_settings(made.settings))),
            Details("Timing and scenarios", (Facts(times), Facts(scenarios))),
        ],
        "Secrets are masked.",
    )


def reruns(comparison: Comparison) -> Section:
    """Return the command of every figure."""
    blocks: list[Block] = [
        Command(commands.whole(comparison), "All of it, as it was called:"),
        *(Command(commands.again(comparison, workload.scenario, workload.load)) for workload in comparison.workloads),
    ]
    hint = "Each line measures one scenario under one load again: same rounds, windows, seed and order of slices."
    return Section("commands", "Run it again", blocks, hint)


def _settings(settings: Mapping[str, Mapping[str, str]]) -> Iterable[Block]:
    """Yield a line for each setting; where all subjects agree it stands once."""
    names = list(dict.fromkeys(name for values in settings.values() for name in values))
    rows: list[tuple[str, ...]] = []
    for name in names:
        values = [str(values.get(name, format.NOTHING)) for values in settings.values()]
        rows.append((name, values[0] if len(set(values)) == 1 else " | ".join(values)))
    yield Text(f"Of {', '.join(settings)}; where they differ, in this order.", "note")
    yield Facts(tuple((row[0], row[1]) for row in rows))
