"""Well-tempered backprop: a gradient counts less where its noise is as large as itself."""

from minigrad.rules.well_tempered.gates import GATES, null_fraction
from minigrad.rules.well_tempered.moments import Moments
from minigrad.rules.well_tempered.rule import WellTempered
from minigrad.rules.well_tempered.signal_to_noise import SignalToNoise

__all__ = ["GATES", "Moments", "SignalToNoise", "WellTempered", "null_fraction"]
