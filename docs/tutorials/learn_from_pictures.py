"""Learn without labels, then with few

Pictures are plenty and labels are few. Here a network first learns to draw hidden parts of pictures (a masked autoencoder), then, from
what it learned, to label the heart; beside it a network that starts from nothing, on the same people. Everything is tiny, so that it
ends within minutes on any computer: it shows how, and not how well. `cinecmr pretrain`, `finetune` and `evaluate` do the same.
"""

# Eight synthetic subjects stand in for your data. A `Case` is a visit that is loaded when it is needed; `person` keeps visits of one
# person in one part of the split. Your own folder, or a public data set, gives the same: see `cinecmr.datasets`.
from functools import cache, partial
from pathlib import Path

from cinecmr.anatomy import Disease
from cinecmr.datasets import Case
from cinecmr.phantom.study import synthetic_study


@cache  # made once, and not whenever one is asked for
def heart(seed):
    disease = (Disease.NORMAL, Disease.DCM)[seed % 2]
    return synthetic_study(seed, disease, frames=2, matrix=(40, 40), long_axis=False)


cases = [Case(f"s{seed}", partial(heart, seed), person=f"s{seed}") for seed in range(300, 308)]

# Pre-training looks at pictures alone. `smoke` is the smallest of four scales; settings are changed by name, as `--set` does. A run's
# folder is named by the hash of its recipe: the same recipe is never trained twice, and a run that was killed goes on where it was.
from cinecmr.pretrain.run import pretrain

few = ("updates=4",)
start = pretrain(cases, Path("pretrained"), "smoke", given=("settings.views=sax", *few), say=print)

# Now labels. People are split once, into those learned from, those that say when to stop, and those asked at the end; the split is kept
# in `splits.json`, and both runs share it.
from cinecmr.tasks import teaching

scores = {}
for name, weights in (("from nothing", None), ("pre-trained", start)):
    of = teaching.lesson("segmentation", "smoke", "convunetr", pretrained=weights is not None)
    run = teaching.teach("segmentation", cases, Path("runs"), of, given=(*few, "patience=0"), start=weights, say=print)
    scores[name] = run.parent / "scores.csv"

# Each run left a row for every visit that it was asked about and never learned from. Which start is better is a question of paired
# differences over people and seeds, with an interval: with so few people, one seed and four
# updates nothing is shown, and that is what should be said.
import csv

for name, path in scores.items():
    rows = list(csv.DictReader(path.read_text().splitlines()))
    dice = [float(row["dice_lv"]) for row in rows]
    print(f"{name}: Dice of the left ventricle {sum(dice) / len(dice):.2f} (tested on {len(rows)})")

# With your data: [learn from your own data](../howto/learn_from_your_own_data.md); whether pre-training pays at all, and with how many
# labels: [pre-training](../explanation/pretraining.md).
