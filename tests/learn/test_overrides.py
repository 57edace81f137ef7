"""One setting given by its name on the command line."""

import pytest

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.learn.overrides import names_of, overridden
from cinecmr.pretrain.mae import plan
from cinecmr.tasks.volume_segmentation import VolumeSegmentationSettings


def test_a_setting_is_changed_where_it_stands_and_nothing_else():
    before = plan("smoke")
    after = overridden(
        before,
        ["optimiser.rate=1e-2", "settings.views=sax, lax_4c", "updates=30", "settings.normalised=true",
         "precision=bf16", "settings.sax_spacing=5,5,20", "micro=2.0"],
    )  # fmt: skip
    assert (after.optimiser.rate, after.updates, after.micro, after.precision) == (1e-2, 30, 2, "bf16")
    assert after.settings.views == ("sax", "lax_4c")
    assert after.settings.sax_spacing == (5.0, 5.0, 20.0)
    assert after.settings.normalised is True
    assert after.optimiser.decay == before.optimiser.decay
    assert "settings.hidden" in names_of(before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("optimiser.rat=1", "no setting 'optimiser.rat': there are .*did you mean rate"),
        ("updates", "states no value"),
        ("settings=3", "settings has parts: settings.preset"),
        ("updates=2.5", "it should be a whole number"),
        ("updates=many", "is not possible"),
        ("updates=true", "it should be like 20"),
        ("settings.hidden=2", "hidden is a share between 0 and 1"),
        ("updates.more=1", "no setting 'updates.more'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(given, message):
    with pytest.raises(RefusedInput, match=message):
        overridden(plan("smoke"), [given])


def test_a_member_of_a_list_is_named_by_its_name_or_its_value():
    told = overridden(VolumeSegmentationSettings(), ["view=LAX_4C", "contrasts=lge", "structures=scar,No_Reflow"])
    assert (told.view, told.contrasts) == (View.LAX_4C, (Contrast.LGE,))
    assert told.structures == (Structure.SCAR, Structure.NO_REFLOW)
    with pytest.raises(RefusedInput, match="view=lax_5c is not possible: there are sax, lax_2c"):
        overridden(VolumeSegmentationSettings(), ["view=lax_5c"])
