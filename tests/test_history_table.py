"""print(history) is a table, and plots.history the same as a figure."""

import math
from dataclasses import replace

import pytest

import minigrad as mg
from minigrad import plots

pytestmark = pytest.mark.on_host
RUN = mg.History(
    epoch=[1, 2, 3],
    train_loss=[2.5, 1.25, 0.0004],
    train_accuracy=[0.5, 0.75, 1.0],
    train_clean_accuracy=[0.5, 0.75, 1.0],
    test_loss=[2.0, 0.5, 0.75],
    test_accuracy=[0.25, 0.5, 0.5],
    test_clean_accuracy=[0.25, 0.75, 0.5],
    validation_loss=[3.0, 2.0, math.nan],
    validation_accuracy=[0.5, 0.5, 0.5],
    validation_clean_accuracy=[0.5, 0.5, 0.5],
    seconds=[1.5, 2.0, 12.25],
    metrics={"train_top_2": [1.0, 1.0, 1.0], "train_accuracy": [0.5, 0.75, 1.0]},
)
TABLE = """\
           train                    validation              test
epoch       loss  accuracy   top_2        loss  accuracy    loss  accuracy  clean accuracy  seconds
    1     2.5000    0.5000  1.0000      3.0000    0.5000  2.0000    0.2500          0.2500     1.50
    2*    1.2500    0.7500  1.0000      2.0000    0.5000  0.5000    0.5000          0.7500     2.00
    3   4.00e-04    1.0000  1.0000         nan    0.5000  0.7500    0.5000          0.5000    12.25
* best epoch, by validation_loss"""


def test_the_table():
    assert str(RUN) == TABLE


def test_a_regression_has_no_accuracy_and_notes_stand_below():
    history = mg.History(
        epoch=[2, 4],
        train_loss=[2.0, 1.0],
        seconds=[1.0, 1.0],
        metrics={"train_mae": [1.0, 0.5], "test_mae": [1.0, 12345678.0]},
        best_epoch=2,
        ended="the weights are those of epoch 2",
        stopped="interrupted in epoch 5",
    )
    assert str(history).splitlines() == [
        "         train              test",
        "epoch     loss     mae       mae  seconds",
        "    2*  2.0000  1.0000    1.0000     1.00",
        "    4   1.0000  0.5000  1.23e+07     1.00",
        "* best epoch, by early stopping",
        "ended: the weights are those of epoch 2",
        "stopped: interrupted in epoch 5",
    ]


@pytest.mark.parametrize(
    ("n", "best", "shown", "gaps"), [(20, 7, 20, 0), (21, 3, 20, 1), (500, 250, 21, 2)]
)
def test_a_long_run_is_shortened_around_its_best_epoch(n, best, shown, gaps):
    losses = [1.0] * n
    losses[best - 1] = 0.5
    lines = str(
        mg.History(list(range(1, n + 1)), train_loss=losses, seconds=[0.0] * n)
    ).splitlines()[2:-1]
    rows = [line for line in lines if line.strip() != "..."]
    assert rows[0].split()[0] == "1"
    assert rows[-1].split()[0] == str(n)
    assert [row for row in rows if "*" in row] == [row for row in rows if "0.5000" in row]
    assert (len(rows), len(lines) - len(rows)) == (shown, gaps)


def test_a_history_of_nothing():
    assert str(mg.History(stopped="diverged")) == "no epoch was evaluated\nstopped: diverged"
    assert repr(mg.History()).startswith("History(epoch=[], train_loss=[]")


def test_the_test_set_chooses_nothing():
    tested = mg.History([1, 2], [2.0, 1.0], test_loss=[1.0, 2.0], seconds=[0.0, 0.0])
    assert "2*" in str(tested)
    assert "by train_loss" in str(tested)
    lost = replace(tested, train_loss=[math.nan] * 2)
    assert "*" not in str(lost)


def test_the_figure_has_a_panel_for_each_kind_and_marks_the_best_epoch():
    import matplotlib.pyplot as plt

    figure = plots.history(replace(RUN, settings={"loss": "CrossEntropyLoss()"}), "A run")
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_ylabel() for ax in drawn] == [
        "loss: CrossEntropyLoss",
        "accuracy (%)",
        "top 2 (%)",
        "clean accuracy (%)",
    ]
    assert [len(ax.lines) for ax in drawn] == [4, 4, 2, 2]  # the last one marks the best epoch
    assert all(list(ax.lines[-1].get_xdata()) == [2, 2] for ax in drawn)
    assert list(drawn[1].lines[0].get_ydata()) == [50, 75, 100]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["train", "validation", "test", "best epoch, 2, by validation loss"]
    colours = {line.get_label(): line.get_color() for ax in drawn for line in ax.lines[:-1]}
    assert len(set(colours.values())) == 3
    plt.close(figure)


def test_the_colours_of_a_confusion_matrix_are_shares_of_its_rows():
    import matplotlib.pyplot as plt

    figure = plots.confusion([[90, 10], [0, 1]], ["many", "few"])
    ax = figure.axes[0]
    assert ax.images[0].get_array().tolist() == [[90, 10], [0, 100]]
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "90",
        (1, 0): "10",
        (1, 1): "1",
    }
    assert [text.get_text() for text in ax.get_yticklabels()] == ["many", "few"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("answer", "true label")
    plt.close(figure)
    empty_class = plots.confusion([[0, 0], [0, 1]])
    assert empty_class.axes[0].images[0].get_array().tolist() == [[0, 0], [0, 100]]
    plt.close(empty_class)
