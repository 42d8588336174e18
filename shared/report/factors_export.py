"""A comparison of factors for programs and pages: the JSON of its result, CSV by variant, and Markdown tables."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from types import MappingProxyType

from shared.lab.factors.catalogue import EDITIONS
from shared.lab.factors.result import AS_THEY_ARE
from shared.lab.factors.result import FactorStudy
from shared.lab.results.summary import VALUE_OF
from shared.report import export
from shared.report.export import Format
from shared.report.factors import gap_sheet
from shared.report.factors import share_sheet

WSGI, ASGI = EDITIONS


def as_json(study: FactorStudy) -> str:
    """Return the JSON object of a study's result.json."""
    return json.dumps(study.document(""), indent=1, ensure_ascii=False) + "\n"


def as_csv(study: FactorStudy) -> str:
    """Return two lines per variant and workload, one for each edition, under a line of names; nothing is rounded.

    The variant "as they are" is both editions without a swap. The columns between `edition` and the last ones are those
    of a comparison's CSV: `subject` is what was measured, which is the edition itself where the variant swaps nothing
    in it, and the ratios over wsgi are those of the two editions in this variant. The last columns are the variant over
    the same edition as it is, empty where nothing is swapped.
    """
    heads = (*export.FIGURE_HEADS, *export.ratio_heads(WSGI), *export.SERVER_COLUMNS, *export.ratio_heads("own"))
    return export.csv_text(("variant", "edition", *heads), _lines(study))


def as_markdown(study: FactorStudy) -> str:
    """Return the two printed tables as GitHub's, each below its title, with every doubt and every note."""
    sheets = ((share_sheet(study), study.comparison.doubts), (gap_sheet(study), ()))
    return "\n".join(f"### {sheet.title}\n\n{export.markdown(sheet, doubts)}" for sheet, doubts in sheets)


# How a study is printed in each format.
TEXT_OF: Mapping[Format, Callable[[FactorStudy], str]] = MappingProxyType(
    {"json": as_json, "csv": as_csv, "markdown": as_markdown}
)


def _lines(study: FactorStudy) -> Iterator[tuple[object, ...]]:
    for workload in study.comparison.workloads:
        name, load = workload.scenario.name, workload.load
        for label in ("", *(variant.label for variant in study.variants)):
            for edition in EDITIONS:
                cell = study.comparison.cell(name, load, study.subject(label, edition))
                if cell is None:
                    continue
                gaps = [study.gap(name, load, label, measure) if edition == ASGI else None for measure in VALUE_OF]
                shares = [study.share(name, load, label, edition, measure) for measure in VALUE_OF]
                yield (
                    *(label or AS_THEY_ARE, edition, *export.figures(cell), *export.ratio_columns(gaps)),
                    *(*export.server_figures(cell), *export.ratio_columns(shares)),
                )
