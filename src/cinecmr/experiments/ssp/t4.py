"""Table 4 and the text beside it: learning without changing the slices."""

from cinecmr.experiments.ssp.tables import Line, StudyTable

_UNKNOWN = (float("nan"), float("nan"))

TABLE = StudyTable(
    name="ssp_t4",
    title="Table 4: with and without augmentation",
    heads=("Augmentation", "Pre-training"),
    lines=(
        Line(("yes", "none"), "scratch"),
        Line(("no", "none"), "scratch", augment=False),
        Line(("yes", "all data"), "mim"),
        Line(("no", "all data"), "mim", augment=False),
    ),
    columns=("all", "ED", "ES", "A+B", "C+D"),
    published={
        ("yes", "none"): ((0.89, 0.001), (0.90, 0.001), (0.88, 0.003), (0.89, 0.001), (0.89, 0.006)),
        ("no", "none"): ((0.69, 0.039), (0.71, 0.042), (0.66, 0.036), (0.72, 0.036), (0.61, 0.049)),
        ("yes", "all data"): ((0.89, 0.001), _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN),
        ("no", "all data"): ((0.78, 0.040), _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN),
    },
)
