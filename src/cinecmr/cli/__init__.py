"""The commands, each a few lines; everything heavy is imported inside the command that needs it.

Exit codes: 0 done, 1 error, 2 usage, 3 refused (the input cannot be measured), 4 done with flags.
"""

from __future__ import annotations

import os
import sys

from cinecmr.cli.shared import ERROR, REFUSED, app, say
from cinecmr.errors import RefusedInput

# Each adds its commands, in the order in which the help shows them.
# isort: off
from cinecmr.cli import study  # noqa: F401
from cinecmr.cli import data  # noqa: F401
from cinecmr.cli import found  # noqa: F401
from cinecmr.cli import moving  # noqa: F401
from cinecmr.cli import learned  # noqa: F401
from cinecmr.cli import cohort  # noqa: F401
from cinecmr.cli import training  # noqa: F401
from cinecmr.cli import comparing  # noqa: F401
from cinecmr.cli import reproducing  # noqa: F401
from cinecmr.cli import screening  # noqa: F401
# isort: on


def main(arguments: list[str] | None = None) -> None:
    """Run a command and end the process with its exit code; a traceback only with `--debug`."""
    # Threads of torch that wait for each other spin. Beside other work on the same cores that took a study from one
    # minute to five, where they sleep to one and a quarter; alone on two cores sleeping costs ten to fifteen seconds.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app([word for word in given if word != "--debug"])
    except RefusedInput as refusal:
        if debug:
            raise
        say(f"refused: {refusal.message}  [{refusal.code}]")
        raise SystemExit(REFUSED) from None
    except Exception as error:
        if debug:
            raise
        say(f"error: {error or type(error).__name__}\nadd --debug to see where")
        raise SystemExit(ERROR) from None
