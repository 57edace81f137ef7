"""Table 3: learning from two vendors, tested on all four; the groups differ in size too, 204 and 92 subjects."""

from cinecmr.experiments.ssp.tables import GROUPS, Line, StudyTable

TABLE = StudyTable(
    name="ssp_t3",
    title="Table 3: generalisation to vendors that were not labelled",
    heads=("Pre-training", "Labels"),
    lines=tuple(
        Line((title, group), init, vendors=letters)
        for group, letters in GROUPS.items()
        for title, init in (("none", "scratch"), ("all data", "mim"))
    ),
    columns=("all", "A+B", "C+D"),
    published={
        ("none", "A+B"): ((0.89, 0.001), (0.89, 0.001), (0.88, 0.002)),
        ("all data", "A+B"): ((0.89, 0.001), (0.89, 0.001), (0.88, 0.000)),
        ("none", "C+D"): ((0.88, 0.002), (0.87, 0.001), (0.89, 0.004)),
        ("all data", "C+D"): ((0.88, 0.001), (0.88, 0.002), (0.89, 0.002)),
    },
)
