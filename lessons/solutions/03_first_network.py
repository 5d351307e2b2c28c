"""Answers to the exercises of lesson 03."""

import numpy as np

import minigrad as mg


class AccumulatingBackprop(mg.rules.Rule):
    """Exercise 1: the sum of all gradients so far is a momentum of 1: it never forgets."""

    def __init__(self):
        self.sums = {}

    def estimate(self, model, loss, x, target):
        value = mg.rules.Backprop().estimate(model, loss, x, target)
        for prefix, layer in model.leaves():
            for name, grad in layer.grads.items():
                self.sums[prefix + name] = self.sums.get(prefix + name, 0) + grad
                layer.grads[name] = self.sums[prefix + name]
        return value


def softmax_mse_floor():
    """Exercise 2: 0, for a softmax can come as near to a one-hot target as it likes.

    But it does plateau: dz = J (p - t), and J = diag(p) - p pᵀ vanishes for a sure net here too.
    """
    return 0.0


def one_of_each(train):
    """Exercise 3: the first image of each digit."""
    return train.take(np.array([int(np.argmax(train.y == digit)) for digit in range(10)]))


def sum_of_gradients_is_momentum_one(train):
    """Exercise 1, seen from the optimiser: SGD(momentum=1) on plain backprop is the same run."""
    losses = []
    for rule, momentum in ((AccumulatingBackprop(), 0), (mg.rules.Backprop(), 1.0)):
        model = mg.models.ds4420_mlp(double_softmax=True, seed=0)
        history = mg.fit(
            model, mg.CrossEntropyLoss(), rule, mg.SGD(model, 1.0, momentum=momentum), train,
            epochs=100, batch_size=len(train), evaluate_every=100,
        )  # fmt: skip
        losses.append(np.array(history.step_loss))
    return losses


def main():
    train, test = mg.data.load("digits")
    summed, momentum = sum_of_gradients_is_momentum_one(train.take(500))
    print("exercise 1: loss every 20 steps:", summed[::20].round(3))
    assert abs(summed[:20] - momentum[:20]).max() < 1e-4

    softmax, mse = mg.Softmax(dtype="float64"), mg.MSELoss()
    target = np.eye(10)[[3]]
    sure = {"right": 50.0 * target, "wrong": 50.0 * np.eye(10)[[7]]}
    for name, z in sure.items():
        value = mse.forward(softmax.forward(z), target)
        dz = np.linalg.norm(softmax.backward(mse.backward()))
        print(f"exercise 2: sure and {name}: loss {value:.2g}, gradient {dz:.1g}")
        assert name == "wrong" or value < 1e-12 + softmax_mse_floor()
        assert dz < 1e-12

    ten = one_of_each(train)
    assert sorted(ten.y.tolist()) == list(range(10))
    model = mg.models.ds4420_mlp(seed=0)
    history = mg.fit(
        model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(model, 1.0), ten, test,
        epochs=300, batch_size=10, evaluate_every=300,
    )  # fmt: skip
    print(f"exercise 3: test accuracy {history.test_accuracy[-1]:.3f} from ten images")
    assert history.train_accuracy[-1] == 1.0
    assert history.test_accuracy[-1] > 0.4
    print("03_first_network: all exercises solved")


if __name__ == "__main__":
    main()
