"""CC-CMR table 1: the method against both cines without interaction; rows of table 2 again, trained once."""

from cinecmr.experiments.cc_cmr.tables import PLANS

TABLE = PLANS["t1"]
