"""Table 2: learning from one phase of the beat, tested on both."""

from cinecmr.experiments.ssp.tables import Line, StudyTable

TABLE = StudyTable(
    name="ssp_t2",
    title="Table 2: generalisation to the phase that was not labelled",
    heads=("Pre-training", "Labels"),
    lines=(
        Line(("none", "ED"), "scratch", phase="ED"),
        Line(("all data", "ED"), "mim", phase="ED"),
        Line(("none", "ES"), "scratch", phase="ES"),
        Line(("all data", "ES"), "mim", phase="ES"),
    ),
    columns=("all", "ED", "ES"),
    published={
        ("none", "ED"): ((0.88, 0.001), (0.90, 0.002), (0.86, 0.002)),
        ("all data", "ED"): ((0.89, 0.001), (0.90, 0.001), (0.87, 0.001)),
        ("none", "ES"): ((0.88, 0.007), (0.88, 0.012), (0.88, 0.002)),
        ("all data", "ES"): ((0.88, 0.001), (0.88, 0.001), (0.89, 0.000)),
    },
)
