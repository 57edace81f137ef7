"""What a fit begins from: nothing, or one of several priors made from the tagged cohort.

Of the network: `XAVIER` as the paper's baseline, `SIREN` as its program begins, `MEAN` the paper's prior, `ROBUST` and
`META` ours, `APART` the average of networks that began from different weights. Of the default registration: `REST`,
`MEAN`, `ROBUST`, `META`, and `FLAT`, which does not follow the ejected share.
"""

from __future__ import annotations

from dataclasses import dataclass

XAVIER, SIREN, MEAN, ROBUST, META, APART = "xavier", "siren", "mean", "robust", "meta", "apart"
REST, FLAT = "rest", "flat"
NETWORK, SOUND = "published", "ours"  # whose registration it is
_WORDS = {
    XAVIER: "Baseline (Xavier)",
    SIREN: "Baseline (SIREN)",
    REST: "No prior",
    MEAN: "Prior",
    ROBUST: "Robust mean",
    META: "Two rounds",
    APART: "Different seeds",
    FLAT: "Robust, one for all",
}


@dataclass(frozen=True)
class Start:
    """One of them.

    Attributes:
        method: `NETWORK` or `SOUND`.
        kind: see above.
        subjects: of the prior; 0 for none.
    """

    method: str
    kind: str
    subjects: int = 0

    def __post_init__(self) -> None:
        if (self.subjects > 0) == (self.kind in (XAVIER, SIREN, REST)):
            raise ValueError(f"a start {self.kind!r} of {self.subjects} subjects: priors have some, the others none")

    @property
    def title(self) -> str:
        """As tables call it.

        >>> Start(NETWORK, MEAN, 50).title
        'Prior N=50'
        """
        return _WORDS[self.kind] + (f" N={self.subjects}" if self.subjects else "")
