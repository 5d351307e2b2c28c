"""What the lesson scripts share: options, expectations, figures, results.json, going on.

lesson = start("05_first_network", __doc__)
train, test = lesson.data()
history = lesson.fit(model, loss, rule, optimizer, train, test, epochs=5, batch_size=64)
...
lesson.expect("test accuracy", accuracy, at_least=0.93)
lesson.save(figure, "loss")
lesson.finish()
"""

from minigrad.lesson.command import options_parser, start
from minigrad.lesson.lesson import Expectation, Lesson

__all__ = ["Expectation", "Lesson", "options_parser", "start"]
