"""CC-CMR table 2: sequences and parts of the method, and the controls that tell what late enhancement is worth."""

from cinecmr.experiments.cc_cmr.tables import PLANS

TABLE = PLANS["t2"]
