"""Figures of the tables: each row with intervals that can be believed, and each row against the method, paired.

Seeds are repeated measures of the same subjects. A figure is the mean over seeds; subjects are drawn again within
their groups. Exact tests, which know no seeds, are of the ensemble: the mean probability of all seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.evaluate import calibration, diagnosis
from cinecmr.evaluate.bootstrap import bootstrap, paired
from cinecmr.evaluate.features import centroid_cosines, neighbour_purity, silhouettes
from cinecmr.evaluate.intervals import delong, delong_test, holm, mcnemar
from cinecmr.tasks.screening_data import CINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.evaluate.bootstrap import Paired, Resampled
    from cinecmr.evaluate.intervals import Interval, McNemar, PairedTest
    from cinecmr.experiments.cc_cmr.study import Said, Study

PREVALENCES = (0.01, 0.05, 0.20)


@dataclass(frozen=True)
class RowFigures:
    """What one row is worth.

    Attributes:
        auc: mean over seeds, from draws of subjects. auc_delong: of the ensemble.
        counts: of the ensemble, at the thresholds chosen on inner subjects. exact: intervals of its shares.
        f1: of the ensemble. brier: of it.
        slope, intercept: of its calibration: 1 and 0 are right.
        ppv: by prevalence.
        between_seeds: standard deviation of the area over trainings.
    """

    auc: Resampled
    auc_delong: Interval
    counts: diagnosis.Counts
    exact: dict[str, Interval]
    f1: float
    brier: float
    slope: Interval
    intercept: Interval
    ppv: dict[float, float]
    between_seeds: float


@dataclass(frozen=True)
class Comparison:
    """The method minus another row, on the same subjects.

    Attributes:
        auc: difference of areas, mean over seeds, subjects drawn again and methods swapped.
        auc_delong: of the ensembles.
        accuracy: difference in percent rightly called, mean over seeds.
        mcnemar: of the ensembles' calls.
        adjusted: p of `auc` made larger for the number of comparisons (Holm).
    """

    auc: Paired
    auc_delong: PairedTest
    accuracy: Paired
    mcnemar: McNemar
    adjusted: float


def strata_of(study: Study) -> list[str]:
    """(n) groups whose size draws keep."""
    return [str(facts["disease"]) for facts in study.facts]


def ensemble(said: Said) -> NDArray[np.float64]:
    """(n,) mean probability of illness over seeds."""
    return np.asarray(said.test[..., 1].mean(0))


def called(said: Said) -> NDArray[np.bool_]:
    """(n,) whether the ensemble calls each subject ill, at the mean of its fold's thresholds."""
    return np.asarray(ensemble(said) >= said.threshold)


def row_figures(study: Study, said: Said) -> RowFigures:
    """Figures of one row of a two-class study."""
    ill, mean = study.classes, ensemble(said)
    found = diagnosis.counts(called(said), ill)
    inside = np.clip(mean, 1e-6, 1 - 1e-6)
    fitted = calibration.recalibration(inside, ill)
    auc = bootstrap(
        said.test[..., 1],
        lambda scores, cases: diagnosis.roc_auc(scores, ill[cases]),
        strata=strata_of(study),
        resamples=study.scale.resamples,
    )
    return RowFigures(
        auc,
        delong(mean, ill),
        found,
        found.intervals(),
        found.f1,
        calibration.brier(mean, ill),
        fitted.slope,
        fitted.intercept,
        {share: diagnosis.ppv_at_prevalence(found.sensitivity, found.specificity, share) for share in PREVALENCES},
        auc.between_seeds,
    )


def compare(study: Study, name: str, others: Sequence[str]) -> dict[str, Comparison]:
    """A row against each of others, p made larger for how many there are."""
    tested = {other: _compare(study, study.said[name], study.said[other]) for other in others}
    larger = holm([one[0].p for one in tested.values()])
    return {other: Comparison(*one, float(p)) for (other, one), p in zip(tested.items(), larger, strict=True)}


def _compare(study: Study, first: Said, second: Said) -> tuple[Paired, PairedTest, Paired, McNemar]:
    ill, strata, resamples = study.classes, strata_of(study), study.scale.resamples
    auc = paired(
        first.test[..., 1],
        second.test[..., 1],
        lambda scores, cases: diagnosis.roc_auc(scores, ill[cases]),
        strata=strata,
        resamples=resamples,
    )
    right = [100.0 * (said.called == ill) for said in (first, second)]
    accuracy = paired(*right, strata=strata, resamples=resamples)
    chance = mcnemar(*(called(said) == ill.astype(bool) for said in (first, second)))
    return auc, delong_test(ensemble(first), ensemble(second), ill), accuracy, chance


def subgroups(study: Study, said: Said) -> list[dict[str, Any]]:
    """The ensemble by sex, vendor, disease, and by scar among patients: exact intervals."""
    groups: dict[str, list[int]] = {}
    for number, facts in enumerate(study.facts):
        groups.setdefault(f"sex {facts['sex']}", []).append(number)
        groups.setdefault(f"vendor {facts['vendor']}", []).append(number)
        groups.setdefault(f"disease {facts['disease']}", []).append(number)
        if study.classes[number]:
            scarred = "with" if float(str(facts["scar_ml"])) > 0 else "without"
            groups.setdefault(f"patients {scarred} scar", []).append(number)
    calls, rows = called(said), []
    for name, numbers in sorted(groups.items()):
        some = np.array(numbers)
        found = diagnosis.counts(calls[some], study.classes[some])
        exact = found.intervals()
        rows.append(
            {
                "group": name,
                "n": len(some),
                "ill": found.tp + found.fn,
                **{k: exact[k] for k in ("sensitivity", "specificity")},
            }
        )
    return rows


def scar_probe(study: Study, said: Said) -> Interval | None:
    """Whether cine features tell scar from none among patients: area under the curve of a linear probe.

    Alignment by class needs class labels alone, so a gain can come without any knowledge of scar. This asks within
    patients, where the class says nothing. In each fold, of patients whom its network never saw: ridge on two thirds,
    asked about the others, three times; scores are standardised within the fold before folds are put together.

    Args:
        study: see there.
        said: with features of both cines.

    Returns:
        None where a fold has fewer than three such patients with scar or without.
    """
    scar = np.array([float(str(facts["scar_ml"])) > 0 for facts in study.facts])
    told, truth = [], []
    for fold in said.features:
        ill = study.classes[fold.rows] == 1
        own = scar[fold.rows[ill]]
        if not set(CINES) <= fold.of.keys() or min(own.sum(), (~own).sum()) < 3:
            return None
        scores = _probed(np.concatenate([fold.of[name][ill] for name in CINES], 1).astype(float), own)
        asked = fold.test[ill]
        told.append(((scores - scores.mean()) / max(scores.std(), 1e-12))[asked])
        truth.append(own[asked])
    return delong(np.concatenate(told), np.concatenate(truth)) if told else None


def _probed(features: NDArray[np.float64], scar: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) scores, each from a probe that was fitted without the patient."""
    third = np.empty(len(scar), int)
    for kind in (scar, ~scar):
        third[kind] = np.arange(kind.sum()) % 3
    found = np.empty(len(scar))
    for turn in range(3):
        train, test = third != turn, third == turn
        found[test] = _ridge(features[train], scar[train], features[test])
    return found


def _ridge(given: NDArray[np.float64], truth: NDArray[np.bool_], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear scores, shrunk until a third of the subjects' worth of freedom is left."""
    mean, spread = given.mean(0), given.std(0) + 1e-9
    rows, sign = (given - mean) / spread, np.where(truth, 1.0, -1.0)
    kernel = rows @ rows.T
    own = np.clip(np.linalg.eigvalsh(kernel), 0, None)
    shrink = 1e-6 * max(float(own.max()), 1e-12)
    while (own / (own + shrink)).sum() > len(rows) / 3:
        shrink *= 1.5
    weights = np.linalg.solve(kernel + shrink * np.eye(len(rows)), sign - sign.mean())
    return np.asarray((asked - mean) / spread @ rows.T @ weights)


def closeness(study: Study, said: Said) -> dict[str, float]:
    """What the paper's t-SNE is meant to show, measured among the features themselves; means over folds.

    Returns:
        "cosine CLASS": of the two cines' class centres; "separation NAME": mean silhouette of classes within a
        sequence, cosine distance; "neighbours": share of a subject's five nearest features of the other cine that are
        of its class, its own left out. Empty where the row has one cine.
    """
    rows = []
    for fold in said.features:
        if not set(CINES) <= fold.of.keys():
            return {}
        classes = study.classes[fold.rows[fold.test]]
        ch4, sax = (fold.of[name][fold.test] for name in CINES)
        cosines = centroid_cosines(ch4, sax, classes)
        rows.append(
            {f"cosine {kind}": cosines[kind] for kind in sorted(cosines, key=str)}
            | {
                f"separation {name}": float(silhouettes(of, classes).mean())
                for name, of in (("ch4", ch4), ("sax", sax))
            }
            | {"neighbours": neighbour_purity(ch4, classes, min(5, len(classes) - 1), among=(sax, classes))}
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in (rows[0] if rows else {})}
