"""The tables as Markdown and JSON, the paper's figures beside them and never mixed with ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.evaluate import diagnosis
from cinecmr.evaluate.intervals import clopper_pearson, holds
from cinecmr.experiments.cc_cmr import statistics
from cinecmr.experiments.cc_cmr.cohort import SUBTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cinecmr.evaluate.intervals import Interval
    from cinecmr.experiments.cc_cmr.rows import Row
    from cinecmr.experiments.cc_cmr.statistics import Comparison, RowFigures
    from cinecmr.experiments.cc_cmr.study import Study

_PAPER = "231 patients and controls of two hospitals, tested on 70"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table.

    >>> table(["a", "b"], [["1", "2"]])
    ['| a | b |', '|---|---|', '| 1 | 2 |']
    """
    lines = [head, ["---"] * len(head), *rows]
    return [f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines]


def screening_lines(study: Study, figures: Mapping[str, RowFigures]) -> list[str]:
    """What each row is worth."""
    head = ["row", "area under the curve", "sensitivity", "specificity", "F1", "Brier", "slope", "sd of seeds"]
    body = []
    for name, found in figures.items():
        counts = found.counts
        body.append(
            [
                study.said[name].row.title,
                found.auc.interval.text(),
                f"{counts.tp}/{counts.tp + counts.fn} {found.exact['sensitivity'].text()}",
                f"{counts.tn}/{counts.tn + counts.fp} {found.exact['specificity'].text()}",
                _number(found.f1),
                _number(found.brier),
                found.slope.text(2),
                _number(found.between_seeds),
            ]
        )
    note = (
        "Areas: mean over seeds, 95 % of draws of subjects within their disease. Shares: of the mean probability of "
        "all seeds, at thresholds set on each fold's inner subjects, Clopper-Pearson."
    )
    return [*table(head, body), "", note, ""]


def published_lines(rows: Sequence[Row]) -> list[str]:
    """The paper's figures, and which of its intervals do not hold their own estimate."""
    names = ("accuracy", "f1", "sensitivity", "specificity", "auc")
    body, wrong = [], []
    for row in (row for row in rows if row.published is not None):
        cells = []
        for name in names:
            value, low, high = (row.published or {})[name]
            mark = "" if holds(value, low, high, 0.0005) else " !"
            cells.append(f"{value:.3f} ({low:.3f} to {high:.3f}){mark}")
            wrong += [f"{name} of {row.title}"] if mark else []
        body.append([row.title, *cells])
    if not body:
        return []
    told = f"Printed in the paper, of {_PAPER}: not to be mixed with ours."
    if wrong:
        told += f" Marked with !: intervals that exclude their own estimate ({', '.join(wrong)})."
    return ["### As printed in the paper", "", told, "", *table(["row", *names], body), ""]


def comparison_lines(study: Study, name: str, found: Mapping[str, Comparison]) -> list[str]:
    """The method minus every other row."""
    head = ["against", "asks", "area, difference", "p (Holm)", "DeLong p", "rightly called, points", "McNemar"]
    body = [
        [
            study.said[other].row.title,
            study.said[other].row.asks,
            one.auc.text(),
            _p(one.adjusted),
            _p(one.auc_delong.p),
            one.accuracy.text(1),
            f"{one.mcnemar.only_first} to {one.mcnemar.only_second}, p = {_p(one.mcnemar.p)}",
        ]
        for other, one in found.items()
    ]
    return [f"### {study.said[name].row.title}, minus each other row", "", *table(head, body), ""]


def further_lines(study: Study, name: str, figures: RowFigures) -> list[str]:
    """What a reader of one row needs besides: predictive values, subgroups, whether scar is known, closeness."""
    said = study.said[name]
    ppv = ", ".join(f"{100 * share:.0f} %: {_number(value)}" for share, value in figures.ppv.items())
    lines = [
        f"### More of {said.row.title}",
        "",
        f"- positive predictive value by prevalence: {ppv}; half of this cohort is ill, which no screening is",
        f"- calibration: slope {figures.slope.text(2)}, intercept {figures.intercept.text(2)}",
    ]
    curve = _decisions(study, name)
    lines += [f"- net benefit over the better of all and none: {curve}"]
    rows = [
        [str(one["group"]), str(one["n"]), str(one["ill"]), one["sensitivity"].text(2), one["specificity"].text(2)]
        for one in statistics.subgroups(study, said)
    ]
    return [*lines, "", *table(["group", "n", "ill", "sensitivity", "specificity"], rows), ""]


def feature_lines(study: Study) -> list[str]:
    """What the features of the two cines know of scar within patients, and how close they lie."""
    head = [
        "row",
        "scar among patients, area",
        "cosine of controls",
        "cosine of patients",
        "separation 4CH",
        "SAX",
        "neighbours",
    ]
    body = []
    for said in study.said.values():
        close = statistics.closeness(study, said)
        if not close:
            continue
        probe = statistics.scar_probe(study, said)
        keys = ("cosine 0", "cosine 1", "separation ch4", "separation sax", "neighbours")
        body.append([said.row.title, probe.text() if probe else "too few", *(_number(close[key]) for key in keys)])
    if not body:
        return []
    note = "Of the first seed. The probe is linear and asked within patients, where the class says nothing of scar."
    return ["### What the cine features know", "", note, "", *table(head, body), ""]


def subtype_lines(study: Study) -> list[str]:
    """Five groups: macro F1 with draws, chance beside it, recall of every group."""
    from cinecmr.evaluate.bootstrap import bootstrap

    names = [disease.value for disease in SUBTYPES]
    head = ["row", "macro F1", "one-vs-rest area", *names]
    body = []
    for said in study.said.values():
        mean = said.test.mean(0)
        f1 = bootstrap(
            said.called,
            lambda found, cases: diagnosis.f1_macro(found.astype(int), study.classes[cases], len(names)),
            strata=study.classes.tolist(),
            resamples=study.scale.resamples,
        )
        cells = []
        for number in range(len(names)):
            own = study.classes == number
            hits = int((mean.argmax(1)[own] == number).sum())
            cells.append(f"{hits}/{own.sum()} {_exact(hits, int(own.sum()))}")
        area = diagnosis.roc_auc_one_vs_rest(mean, study.classes)
        body.append([said.row.title, f1.interval.text(), _number(area), *cells])
    note = (
        f"Macro F1: mean over seeds, draws of patients; chance is {1 / len(names):.2f}. Groups: recall of the mean "
        "probability, Clopper-Pearson. The phantom has no NDLVC and no RCM; infarct and amyloid stand in their places."
    )
    return [*table(head, body), "", note, ""]


def verdict(study: Study, name: str, found: Mapping[str, Comparison]) -> str:
    """One paragraph: what the alignment adds, and what the controls say; in figures, made by the command."""
    said = []
    for other, one in found.items():
        row, gap = study.said[other].row, one.auc.difference
        if math.isnan(gap.estimate):
            continue
        sure = "beyond chance" if one.adjusted < 0.05 else "within chance"
        said.append(f"against {row.title} {gap.estimate:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}, {sure})")
    control = [other for other in ("as-long", "cines-aligned", "shuffled", "unlinked") if other in found]
    beaten = [other for other in control if found[other].adjusted < 0.05 and found[other].auc.difference.estimate > 0]
    if not control:
        meaning = "The controls were not run, so nothing here says that late enhancement taught anything."
    elif len(beaten) == len(control):
        meaning = "It beats every control, so here late enhancement teaches what class labels alone do not."
    else:
        kept = ", ".join(study.said[other].row.title for other in control if other not in beaten)
        meaning = (
            f"It does not beat {kept} beyond chance, so these figures do not show that late enhancement teaches the "
            "cines anything of scar: longer training or class labels explain as much."
        )
    n = len(study.classes)
    return (
        f"On {n} synthetic subjects at scale {study.scale.name}, the area under the curve of "
        f"{study.said[name].row.title} differs: {'; '.join(said)}. {meaning}"
    )


def as_data(figures: Mapping[str, RowFigures], compared: Mapping[str, Comparison]) -> dict[str, Any]:
    """The same for programs."""
    rows = {
        name: {
            "auc": _interval(one.auc.interval),
            "auc_delong": _interval(one.auc_delong),
            "undefined_draws": one.auc.undefined,
            "between_seeds": one.between_seeds,
            "tp": one.counts.tp,
            "fn": one.counts.fn,
            "tn": one.counts.tn,
            "fp": one.counts.fp,
            **{key: _interval(interval) for key, interval in one.exact.items()},
            "f1": one.f1,
            "brier": one.brier,
            "slope": _interval(one.slope),
            "intercept": _interval(one.intercept),
            "ppv": {f"{share}": value for share, value in one.ppv.items()},
        }
        for name, one in figures.items()
    }
    against = {
        name: {
            "auc": _interval(one.auc.difference),
            "p": one.auc.p,
            "p_holm": one.adjusted,
            "p_delong": one.auc_delong.p,
            "accuracy_points": _interval(one.accuracy.difference),
            "mcnemar": [one.mcnemar.only_first, one.mcnemar.only_second, one.mcnemar.p],
        }
        for name, one in compared.items()
    }
    return {"rows": rows, "minus": against}


def _interval(one: Interval) -> dict[str, Any]:
    return {"estimate": one.estimate, "low": one.low, "high": one.high, "level": one.level, "method": one.method}


def _decisions(study: Study, name: str) -> str:
    from cinecmr.evaluate.calibration import decision_curve

    curve = decision_curve(statistics.ensemble(study.said[name]), study.classes, np.array([0.1, 0.25, 0.5]))
    return ", ".join(f"{gain:+.3f} at {at:.2f}" for at, gain in zip(curve.thresholds, curve.gain, strict=True))


def _exact(hits: int, n: int) -> str:
    one = clopper_pearson(hits, n)
    return f"({one.low:.2f} to {one.high:.2f})"


def _number(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.3f}"


def _p(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.2g}"
