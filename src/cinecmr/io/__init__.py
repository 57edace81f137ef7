"""Files in, Studies out; and Findings back into files. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cinecmr.io.inspection import Inspection
    from cinecmr.io.reading import inspect, read

__all__ = ["Inspection", "inspect", "read"]


def __getattr__(name: str) -> Any:
    """Import readers when they are first asked for: `import cinecmr.io` stays light."""
    if name in ("read", "inspect"):
        import importlib

        return getattr(importlib.import_module("cinecmr.io.reading"), name)
    if name == "Inspection":
        from cinecmr.io.inspection import Inspection

        return Inspection
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
