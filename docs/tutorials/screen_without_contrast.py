"""Screen without contrast

Late gadolinium enhancement shows scar, and needs a contrast agent. CC-CMR learns from subjects who had it to answer for those who only
have cine. This is research triage and no diagnosis; no weights are shipped, because none were trained on patients. The commands are
`cinecmr finetune screening` and `cinecmr screen`.
"""

# A cohort that had both: ten synthetic subjects, five of them with scar. `smoke` is the smallest scale, a minute; three fifths are learned
# from, one fifth sets the threshold, and one fifth is asked once, at the end.
from pathlib import Path

from cinecmr.experiments.cc_cmr import own

card = own.finetune("phantom", Path("triage"), "smoke", subjects=10, say=print)

# The card says what was learned from, and how it did on the subjects kept apart. Of so few, an interval spans nearly everything, and the
# card says so.
from cinecmr.tasks import screening_model

model = screening_model.load(card.parent)
print(model.card.data)
print(model.card.point)

# Ask it about somebody new. It needs the four-chamber and the short-axis cine, and no late enhancement.
from cinecmr.anatomy import Disease
from cinecmr.phantom.study import synthetic_study

study, _ = synthetic_study(77, Disease.HCM, frames=8, matrix=(64, 64))
answer = model.ask(study)
print("\n".join(screening_model.lines(model, answer)))

# What the method is, what the controls showed, and why a positive answer at a prevalence of 1 % mostly is wrong:
# [screening](../explanation/screening.md).
