"""The files of CineMA's weights on the Hugging Face hub, by name, and how one is fetched when the user says so.

Nothing is fetched unless asked for by `--download`; what the hub's client already keeps on this computer is used
without a word to the network.

Source: specification of CineMA's code, section 1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable

CINEMA = "mathpluscode/CineMA"
SEEDS = (0, 1, 2)
FOUR = ("acdc_sax", "mnms_sax", "mnms2_sax", "mnms2_lax_4c")
FINETUNED: dict[str, tuple[str, ...]] = {
    "segmentation": FOUR,
    "classification_cvd": FOUR,
    "classification_sex": ("mnms_sax",),
    "classification_vendor": ("mnms2_sax", "mnms2_lax_4c"),
    "regression_ef": FOUR,
    "regression_bmi": ("acdc_sax",),
    "regression_age": ("mnms_sax",),
    "landmark_heatmap": ("lax_2c", "lax_4c"),
    "landmark_coordinate": ("lax_2c", "lax_4c"),
}
PRETRAINED = "pretrained/cinema.safetensors"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_OF_CINEMA = re.compile(r"(?:.*/)?finetuned/([a-z_]+)/([a-z0-9_]+)/\2_(\d+)\.safetensors")


def files() -> list[str]:
    """Every file of weights of CineMA's repository: the autoencoder, and three seeds of each fine-tuned network."""
    tuned = [
        f"finetuned/{task}/{data}/{data}_{seed}.safetensors"
        for task, sets in FINETUNED.items()
        for data in sets
        for seed in SEEDS
    ]
    return [PRETRAINED, *tuned]


def full_name(file: str) -> str:
    """A file as the hub names it, from what a person types.

    >>> full_name("segmentation/acdc_sax/1")
    'finetuned/segmentation/acdc_sax/acdc_sax_1.safetensors'
    >>> full_name("pretrained")
    'pretrained/cinema.safetensors'
    """
    short = file.strip("/").removesuffix(".safetensors").removeprefix("finetuned/")
    if short in ("pretrained", PRETRAINED.removesuffix(".safetensors")):
        return PRETRAINED
    parts = short.split("/")
    if len(parts) == 3 and parts[1] in FINETUNED.get(parts[0], ()):
        seed = parts[2].removeprefix(f"{parts[1]}_")
        return f"finetuned/{parts[0]}/{parts[1]}/{parts[1]}_{seed}.safetensors"
    return file


def name_of(file: str) -> str:
    """The name under which a file is registered unless the user gives another.

    >>> name_of("finetuned/segmentation/mnms2_lax_4c/mnms2_lax_4c_2.safetensors")
    'cinema-segmentation-mnms2-lax-4c-2'
    >>> name_of("pretrained/cinema.safetensors"), name_of("some/My weights.pth")
    ('cinema', 'my-weights')
    """
    found = _OF_CINEMA.fullmatch(file)
    text = f"cinema-{found[1]}-{found[2]}-{found[3]}" if found else Path(file).stem
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "imported"


def is_repository(text: str) -> bool:
    """Whether a text could name a repository of the hub, OWNER/NAME."""
    return _REPOSITORY.fullmatch(text) is not None


def fetch(repository: str, file: str, download: bool, say: Callable[[str], None]) -> Path:
    """A file of a repository on this computer.

    Args:
        repository: OWNER/NAME.
        file: as the hub names it.
        download: whether the network may be used; else only what was fetched before is found.
        say: told before the network is used.

    Raises:
        RefusedInput: the file is not here and nothing may be fetched, the hub's client is not installed, or the
            hub did not give the file.
    """
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise RefusedInput(
            "no-hub-client",
            f"{repository} is a repository of the Hugging Face hub, whose client is not installed: "
            f"pip install 'cinecmr[hub]', or fetch {file} yourself and import that file",
        ) from None
    if download:
        say(f"fetching {file} of {repository} from the Hugging Face hub")
    try:
        return Path(hf_hub_download(repository, file, local_files_only=not download))
    except Exception as error:  # the client has many kinds of its own
        if not download:
            raise RefusedInput(
                "not-downloaded",
                f"{file} of {repository} is not on this computer, and nothing is fetched unless you add --download",
            ) from error
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RefusedInput("download-failed", f"the hub did not give {file} of {repository}: {reason[0]}") from error
