"""What the package is made of is told whole, with a licence for everything."""

import json
from importlib import metadata

import pytest

from cinecmr import bill


def test_every_package_that_is_needed_is_listed_once_with_its_licence():
    found = bill.parts()
    names = [part.name for part in found]
    assert len(names) == len(set(names))
    direct = {"jinja2", "matplotlib", "nibabel", "numpy", "pillow", "pydantic", "pydicom", "scipy", "torch", "typer"}
    assert direct <= set(names)
    assert "markupsafe" in names, "what jinja2 needs is needed"
    assert {part.name for part in found if part.licence == bill.UNKNOWN} == set()
    assert {part.name: part.version for part in found}["numpy"] == metadata.version("numpy")


@pytest.mark.skipif(
    "cluster" not in (metadata.metadata("cinecmr").get_all("Provides-Extra") or ()),
    reason="installed before the package had this extra: install it again",
)
def test_an_extra_brings_its_packages_along():
    without, with_extra = ({part.name for part in bill.parts(extras)} for extras in ((), ("cluster",)))
    assert "distributed" not in without
    assert {"distributed", "tornado"} <= with_extra


def test_the_bill_of_materials_is_of_one_piece():
    found = bill.parts(("cluster",))
    told = json.loads(bill.cyclonedx(found))
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    references = {one["bom-ref"] for one in told["components"]} | {told["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in told["dependencies"]} == references
    assert {need for one in told["dependencies"] for need in one["dependsOn"]} <= references
    assert bill.cyclonedx(found) == bill.cyclonedx(bill.parts(("cluster",)))
    assert len(bill.lines(found)) == len(found)
