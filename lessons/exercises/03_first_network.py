"""Exercises of lesson 03. Fill in what says TODO(you), then run

    python lessons/exercises/03_first_network.py

Answers: lessons/solutions/03_first_network.py
"""

import minigrad as mg


class AccumulatingBackprop(mg.rules.Rule):
    """Exercise 1: a rule whose gradients are the sum of all steps' so far ("forgot zero_grad")."""

    def estimate(self, model, loss, x, target):
        raise NotImplementedError("TODO(you): call mg.rules.Backprop, then add what you kept")


def softmax_mse_floor():
    """Exercise 2: the lowest loss that Softmax and then MSELoss can reach on one-hot targets."""
    raise NotImplementedError("TODO(you): is there a floor as with the double softmax?")


def one_of_each(train):
    """Exercise 3: a data set of one image of each digit."""
    raise NotImplementedError("TODO(you): Dataset.take takes an index array")


def main():
    train, test = mg.data.load("auto")
    print("exercise 2:", softmax_mse_floor())
    ten = one_of_each(train)
    model = mg.models.ds4420_mlp(seed=0)
    history = mg.fit(
        model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(model, 1.0), ten, test,
        epochs=300, batch_size=10, evaluate_every=300,
    )  # fmt: skip
    print(f"exercise 3: test accuracy {history.test_accuracy[-1]:.3f} from ten images")
    model = mg.models.ds4420_mlp(double_softmax=True, seed=0)
    few = train.take(2000)
    history = mg.fit(
        model, mg.CrossEntropyLoss(), AccumulatingBackprop(), mg.SGD(model, 1.0), few,
        epochs=400, batch_size=2000, evaluate_every=400,
    )  # fmt: skip
    print("exercise 1: loss every 50 steps:", [round(v, 3) for v in history.step_loss[::50]])


if __name__ == "__main__":
    main()
