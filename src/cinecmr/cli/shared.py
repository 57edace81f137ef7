"""What every command shares: the application, exit codes, options, and how it speaks to a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cinecmr.anatomy import Disease
from cinecmr.phantom import dicom_words

if TYPE_CHECKING:
    from collections.abc import Callable

DONE, ERROR, REFUSED, DONE_WITH_FLAGS = 0, 1, 3, 4
DEFAULT_MODEL = "sax-unet"

app = typer.Typer(
    help="Cine cardiac MRI: read a study, measure it, report it. Research use, not for diagnosis.",
    epilog="Try: cinecmr analyze phantom --out demo   (no data needed; prints measured beside true values)",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)

Study_ = Annotated[str, typer.Argument(metavar="STUDY", help="DICOM or NIfTI file or folder")]

OutFolder = Annotated[Path, typer.Option("--out", "-o", help="folder for what is written", file_okay=False)]
ModelName = Annotated[str, typer.Option("--models", help="weights to use; `cinecmr models` lists them")]
LongAxis = Annotated[str, typer.Option(help="weights that read 2C, 3C and 4C views; none leaves them unread")]
ModelsDir = Annotated[
    Path | None, typer.Option(envvar="CINECMR_MODELS", help="folder of imported models", file_okay=False)
]
Precision = Annotated[Literal["fp32", "bf16", "auto"], typer.Option(help="bf16 is faster where the machine has it")]
Compiled = Annotated[bool, typer.Option("--compile", help="let torch compile the network first: a minute, once")]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps")]
Sax = Annotated[str | None, typer.Option(help="the series to use as short axis, where the choice is wrong")]
RRms = Annotated[float | None, typer.Option(min=200, max=3000, help="R-R interval, ms, where the files lack it")]
KeepId = Annotated[bool, typer.Option("--keep-id", help="keep the subject's identifier instead of a hash")]
Kind = Annotated[Disease | None, typer.Option(case_sensitive=False, help="every subject has it; else a mixture")]
Vendor = Annotated[str | None, typer.Option(help=dicom_words.VENDOR)]
Fault = Annotated[list[str] | None, typer.Option(help=dicom_words.FAULT, callback=dicom_words.listed, is_eager=True)]


def say(message: str) -> None:
    """Speak to the person; what is printed belongs to programs."""
    print(message, file=sys.stderr)


def progress(what: str) -> Callable[[float], None] | None:
    """A line that counts up, on a terminal only; nothing in logs and pipes."""
    if not sys.stderr.isatty():
        return None

    def show(share: float) -> None:
        end = "\r" if share < 1 else "\n"
        print(f"  {what}: {100 * share:3.0f} %", end=end, file=sys.stderr, flush=True)

    return show
