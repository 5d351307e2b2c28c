"""What a tour is: steps with sentences, and numbers that are checked."""

from __future__ import annotations

from typing import Any, NamedTuple

from minigrad.live.settings import LaneSettings, Settings


class Seen(NamedTuple):
    """A sentence with a number, which holds for every seed.

    text     the sentence; "{}" stands for the number
    measure  "accuracy" (test examples), "loss" (training), "cosine" (of one estimate with the
             gradient, on average), "first layer" and "last layer" (the same of a layer), "classes"
             (how many of them are found at all), "cost" (forward passes a step)
    lane     counted from 0; `minus`: the other lane, of a difference
    least    the number is at least this; `most`: at most this
    """

    text: str
    measure: str
    lane: int
    least: float | None = None
    most: float | None = None
    minus: int | None = None

    def sentence(self) -> str:
        """The text with the number: in percent for shares of examples."""
        value = self.most if self.least is None else self.least
        if value is None or None not in (self.least, self.most):
            raise ValueError(f"give one of least and most: {self.text}")
        said = f"{value:g}"
        if self.measure == "accuracy":
            said = f"{100 * value:.0f} " + ("%" if self.minus is None else "percentage points")
        return self.text.format(said)


class Step(NamedTuple):
    """A step of a tour.

    title, text  what is said: two or three short sentences
    at           the element of the page that it is about, by its id; "lane 1" is the first card
    settings     a new race; None: the race goes on
    show         the views that the lanes show, by their names; None: as they are
    until        the race plays until this step and pauses; None: it does not play
    seconds      about how long that takes on the page
    seen         what one should now see
    question     something to try, at the end of a tour, and `answer`
    tried        the race that one has tried then, until `tried_until`
    answered     what is seen in it
    """

    title: str
    text: tuple[str, ...]
    at: str
    settings: Settings | None = None
    show: tuple[str, ...] | None = None
    until: int | None = None
    seconds: float = 6.0
    seen: tuple[Seen, ...] = ()
    question: str | None = None
    answer: str | None = None
    tried: Settings | None = None
    tried_until: int = 0
    answered: tuple[Seen, ...] = ()


class Tour(NamedTuple):
    """A tour: five to eight steps, in some minutes."""

    name: str
    title: str
    about: str
    minutes: int
    steps: tuple[Step, ...]


def race(*lanes: LaneSettings, **shared: Any) -> Settings:
    return Settings(lanes=lanes, **shared)


def as_data(tour: Tour) -> dict[str, Any]:
    """The tour as the page gets it: plain data for JSON."""
    return tour._asdict() | {"steps": [_step(step) for step in tour.steps]}


def _step(step: Step) -> dict[str, Any]:
    said = step.answer
    if said is not None:
        said = " ".join([said, *(one.sentence() for one in step.answered)])
    return {
        "title": step.title,
        "text": list(step.text),
        "at": step.at,
        "settings": step.settings.as_dict() if step.settings else None,
        "show": None if step.show is None else list(step.show),
        "until": step.until,
        "seconds": step.seconds,
        "seen": [one.sentence() for one in step.seen],
        "question": step.question,
        "answer": said,
    }
