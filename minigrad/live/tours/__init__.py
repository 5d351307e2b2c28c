"""Guided tours of the page, as data. The tests race for every number that a tour says."""

from minigrad.live.tours.first import FIRST
from minigrad.live.tours.forward import FORWARD
from minigrad.live.tours.memory import MEMORY
from minigrad.live.tours.parts import Seen, Step, Tour, as_data
from minigrad.live.tours.softmax import SOFTMAX
from minigrad.live.tours.waiting import WAITING

ALL = (FIRST, SOFTMAX, FORWARD, WAITING, MEMORY)
TOURS = [as_data(tour) for tour in ALL]  # for the page

__all__ = ["ALL", "TOURS", "Seen", "Step", "Tour", "as_data"]
