"""Options of losses: reductions, weights, labels that do not count, probabilities; wrong ones."""

import copy
import pickle

import numpy as np
import pytest
from cases import LOSSES, loss_cases, rule_cases
from test_textbook import methods

import minigrad as mg
from minigrad.backend import to_device, to_host

Z = np.array([[2.0, -1.0, 0.5], [0.3, 0.1, -2.0], [1.0, 4.0, 0.0], [-0.5, 0.0, 1.0]])
T = np.array([0, 2, 1, 0])
KINDS = sorted({case.kind for case in LOSSES}, key=lambda kind: kind.__name__)


def both(loss, z, t):
    """(the loss, its gradient on the host)."""
    value = loss(to_device(z), to_device(t))
    return value, to_host(loss.backward())


# ------------------------------------------------------------------ reductions


@pytest.mark.parametrize("case", **loss_cases)
def test_the_mean_of_each_is_the_loss_whatever_the_reduction(case, rng):
    output, target = case.batch(rng)
    loss = case.make()
    value = loss(output, target)
    dot = to_device(rng.standard_normal(output.shape))
    slope = loss.jvp(dot)
    assert float(loss.each(output, target).mean()) == pytest.approx(value, rel=1e-12)
    assert float(loss.each_jvp(dot).mean()) == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sum_is_the_sum(kind, rng):
    case = next(case for case in LOSSES if case.kind is kind)
    output, target = case.batch(rng)
    mean, whole = kind(), kind(reduction="sum")
    n = 4 if target.ndim == 1 else output.size
    assert whole(output, target) == pytest.approx(n * mean(output, target), rel=1e-12)
    np.testing.assert_allclose(to_host(whole.backward()), n * to_host(mean.backward()), rtol=1e-12)
    examples = [whole(output[i : i + 1], target[i : i + 1]) for i in range(4)]
    assert whole(output, target) == pytest.approx(sum(examples), rel=1e-12)
    np.testing.assert_allclose(to_host(whole.each(output, target)) / 4, examples, rtol=1e-12)


@pytest.mark.on_host
@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_reduction_is_refused(kind):
    with pytest.raises(ValueError, match=r"must be 'mean' or 'sum'.*got 'avg'$"):
        kind(reduction="avg")
    with pytest.raises(ValueError, match=r"loss\.each\(output, target\) gives the loss of each"):
        kind(reduction="none")


@pytest.mark.parametrize("perturb", ["weights", "activities"])
def test_a_rule_estimates_the_gradient_of_the_sum(perturb, rng):
    """Rules take the mean of `each`: it is the sum's slope all the same."""
    x, t = to_device(rng.standard_normal((4, 5))), to_device(T)
    estimates = []
    for reduction in ("mean", "sum"):
        net = mg.models.mlp((5, 4, 3), seed=0, dtype="float64")
        rule = mg.rules.ForwardGradient(perturb=perturb, seed=1)
        rule.estimate(net, mg.CrossEntropyLoss(reduction=reduction), x, t)
        estimates.append([to_host(g) for _, leaf in net.leaves() for g in leaf.grads.values()])
    for mean, whole in zip(*estimates, strict=True):
        np.testing.assert_allclose(whole, 4 * mean, rtol=1e-10)


@pytest.mark.parametrize("rule", **rule_cases)
def test_every_rule_takes_a_step_with_every_loss(rule, rng):
    for case in LOSSES:
        _, target = case.batch(rng)
        if target.ndim > 2 or case.kind in (mg.BCELoss, mg.NLLLoss, mg.KLDivLoss):
            continue  # the network has neither places nor probabilities as its output
        net = mg.models.mlp((5, 4, 3), activation="tanh", seed=0, dtype="float64")
        made = rule.make(net)
        told = any(name in repr(made) for name in ("SyntheticGradients", "LocalLosses"))
        if target.dtype.kind == "f" and (told or not rule.any_model):
            continue  # they are told labels
        x = to_device(rng.standard_normal((4, 5)))
        for _ in range(2):
            value = made.estimate(net, case.make(), x, target)
        grads = [to_host(g) for _, leaf in net.leaves() for g in leaf.grads.values()]
        assert np.isfinite(value), case.name
        assert all(np.isfinite(g).all() for g in grads), case.name


@pytest.mark.parametrize(
    "options", [{}, {"reduction": "sum"}, {"weight": [1, 5, 0.2]}, {"ignore_index": 2}]
)
def test_evaluate_gives_the_loss_of_the_whole_set(options, rng):
    x = to_device(rng.standard_normal((7, 4)).astype("float32"))
    y = to_device(np.array([0, 1, 0, 2, 2, 1, 2]))
    net, loss = mg.Sequential(mg.Linear(4, 3, seed=0)), mg.CrossEntropyLoss(**options)
    whole = loss(net(x), y)
    data = mg.data.Dataset(x, y, classes=3)
    for batch_size in (2, 3, 7):
        value, _ = mg.evaluate(net, loss, data, batch_size=batch_size)
        assert value == pytest.approx(whole, rel=1e-6)


# ------------------------------------------------------------------ cross-entropy and NLL


def test_one_hot_labels_and_labels_are_the_same():
    value, gradient = both(mg.CrossEntropyLoss(), Z, T)
    again, as_one_hot = both(mg.CrossEntropyLoss(), Z, np.eye(3)[T])
    assert again == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(as_one_hot, gradient, atol=1e-16)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_the_advice_on_one_hot_integers_works(name):
    """Only probabilities, which are floats, may have the output's shape."""
    one_hot, loss = np.eye(3, dtype=int)[T], getattr(mg, name)()
    with pytest.raises(ValueError, match=r"one-hot labels write target\.argmax\(axis=1\)") as error:
        loss(to_device(Z), to_device(one_hot))
    value = loss(to_device(Z), to_device(one_hot.argmax(axis=1)))
    said = "make them probabilities: target.astype('float64')" in str(error.value)
    assert said == (name == "CrossEntropyLoss")
    if said:
        assert loss(to_device(Z), to_device(one_hot.astype("float64"))) == pytest.approx(value)


def test_two_labels_mixed_give_the_losses_mixed():
    other = np.array([1, 1, 0, 2])
    mixed = 0.7 * np.eye(3)[T] + 0.3 * np.eye(3)[other]
    parts = [both(mg.CrossEntropyLoss(), Z, t) for t in (T, other)]
    value, gradient = both(mg.CrossEntropyLoss(), Z, mixed)
    assert value == pytest.approx(0.7 * parts[0][0] + 0.3 * parts[1][0], rel=1e-13)
    np.testing.assert_allclose(gradient, 0.7 * parts[0][1] + 0.3 * parts[1][1], atol=1e-15)


def test_smoothing_is_a_target_of_probabilities():
    q = 0.9 * np.eye(3)[T] + 0.1 / 3
    smooth, plain = mg.CrossEntropyLoss(label_smoothing=0.1), mg.CrossEntropyLoss()
    assert both(smooth, Z, T)[0] == pytest.approx(both(plain, Z, q)[0], rel=1e-14)


@pytest.mark.parametrize("kind", [mg.CrossEntropyLoss, mg.NLLLoss])
def test_a_label_that_is_ignored_is_left_out(kind):
    labels = np.array([0, -100, 1, -100])
    value, gradient = both(kind(ignore_index=-100), Z, labels)
    alone, part = both(kind(), Z[::2], labels[::2])
    assert value == pytest.approx(alone, rel=1e-14)
    np.testing.assert_allclose(gradient[::2], part, rtol=1e-14)
    np.testing.assert_array_equal(gradient[1::2], 0)


@pytest.mark.parametrize("kind", [mg.CrossEntropyLoss, mg.NLLLoss])
def test_a_weight_counts_an_example_that_often(kind):
    often, once = kind(weight=[2, 1, 3]), kind()
    repeated = [0, 0, 1, 1, 1, 2, 3, 3]
    assert both(often, Z, T)[0] == pytest.approx(both(once, Z[repeated], T[repeated])[0])


@pytest.mark.parametrize("kind", [mg.CrossEntropyLoss, mg.NLLLoss])
def test_places_are_examples_of_their_own(kind, rng):
    z = rng.standard_normal((2, 3, 4, 5))
    t = rng.integers(0, 3, (2, 4, 5))
    rows = np.moveaxis(z, 1, -1).reshape(-1, 3)
    value, gradient = both(kind(), z, t)
    alone, part = both(kind(), rows, t.ravel())
    assert value == pytest.approx(alone, rel=1e-13)
    np.testing.assert_allclose(np.moveaxis(gradient, 1, -1).reshape(-1, 3), part, atol=1e-16)


@pytest.mark.parametrize("options", [{"weight": [1, 2, 1]}, {"ignore_index": 1}, {}])
def test_a_class_that_is_ruled_out_may_have_the_logit_minus_infinity(options):
    z = Z.copy()
    z[0, 1] = z[2, 0] = -np.inf
    t = np.array([0, 1, 2, 1])
    value, gradient = both(mg.CrossEntropyLoss(**options), z, t)
    expected, _ = both(mg.CrossEntropyLoss(**options), np.maximum(z, -1e4), t)
    assert value == pytest.approx(expected, rel=1e-12)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", [mg.CrossEntropyLoss, mg.NLLLoss])
@pytest.mark.parametrize(
    "options", [{"weight": [1, 2, 1]}, {"ignore_index": -7}, {"reduction": "sum"}]
)
@pytest.mark.parametrize("labels", [[0, 3, 1, 1], [-1, 0, 0, 2]])
def test_labels_out_of_range_are_refused_with_options(kind, options, labels):
    loss = kind(**options)
    with pytest.raises(ValueError, match=r"labels must be in \[0, 3\), got"):
        loss(to_device(Z), to_device(np.array(labels)))
    bad = [not 0 <= label < 3 for label in labels]
    values = to_host(loss.each(to_device(Z), to_device(np.array(labels))))
    np.testing.assert_array_equal(np.isnan(values), bad)


@pytest.mark.on_host
def test_minus_100_is_not_ignored_unless_one_says_so():
    with pytest.raises(ValueError, match=r"-100 to 1; give ignore_index for labels"):
        mg.CrossEntropyLoss()(Z[:2], np.array([-100, 1]))


@pytest.mark.parametrize("kind", [mg.CrossEntropyLoss, mg.NLLLoss])
@pytest.mark.parametrize("options", [{"ignore_index": 1}, {"weight": [1, 0, 1]}])
def test_a_batch_in_which_no_label_counts_has_no_mean(kind, options):
    t = np.array([1, 1, 1, 1])
    with pytest.raises(ValueError, match="no label of this batch counts"):
        kind(**options)(to_device(Z), to_device(t))
    assert both(kind(reduction="sum", **options), Z, t)[0] == 0


def test_probabilities_are_checked():
    loss = mg.CrossEntropyLoss()
    for bad in (np.full((4, 3), 0.5), np.array([[1.5, -0.5, 0.0]] * 4), np.full((4, 3), np.nan)):
        with pytest.raises(ValueError, match="their sum over the classes is 1; got"):
            loss(to_device(Z), to_device(bad))
    with pytest.raises(TypeError, match=r"one dtype.*astype\('float64'\)"):
        loss(to_device(Z), to_device(np.eye(3, dtype="float32")[T]))
    with pytest.raises(ValueError, match="leave ignore_index out"):
        mg.CrossEntropyLoss(ignore_index=0)(to_device(Z), to_device(np.eye(3)[T]))
    with pytest.raises(ValueError, match=r"labels of shape \(4,\)"):
        mg.NLLLoss()(to_device(Z), to_device(np.eye(3)[T]))
    z = to_device(np.where(Z > 3, np.nan, Z))
    assert np.isnan(loss(z, to_device(np.eye(3)[T])))  # the output's fault, not the target's


# ------------------------------------------------------------------ the other losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bce_with_logits_is_stable_and_does_not_saturate(dtype):
    x = np.array([[1e4, -1e4, 1e4, -1e4, 0.0, -20.0]], dtype)
    t = np.array([[1, 0, 0, 1, 0.5, 0]], dtype)
    loss = mg.BCEWithLogitsLoss(reduction="sum")
    value, gradient = both(loss, x, t)
    assert value == pytest.approx(2e4 + np.log(2), rel=1e-6)
    np.testing.assert_allclose(gradient[0, :5], [0, 0, 1, -1, 0], atol=1e-12)
    small, _ = both(loss, x[:, 5:], t[:, 5:])
    assert small == pytest.approx(np.log1p(np.exp(-20)), rel=1e-6)


def test_bce_with_logits_is_bce_after_a_sigmoid(rng):
    x, t = 2 * rng.standard_normal((4, 3)), rng.random((4, 3))
    layer = mg.Sigmoid(dtype="float64")
    plain = mg.BCELoss()
    value = plain(layer(to_device(x)), to_device(t))
    whole, gradient = both(mg.BCEWithLogitsLoss(), x, t)
    assert whole == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(gradient, to_host(layer.backward(plain.backward())), rtol=1e-9)


def test_the_weight_of_positives_counts_a_positive_that_often():
    x, t = np.array([[0.3], [-1.0], [2.0]]), np.array([[1.0], [0.0], [1.0]])
    often = mg.BCEWithLogitsLoss(pos_weight=3, reduction="sum")
    once = mg.BCEWithLogitsLoss(reduction="sum")
    rows = [0, 0, 0, 1, 2, 2, 2]
    assert both(often, x, t)[0] == pytest.approx(both(once, x[rows], t[rows])[0], rel=1e-12)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_bce_with_logits_refuses_targets_outside_0_1(value):
    t = to_device(np.array([[1.0, value]]))
    with pytest.raises(ValueError, match=r"BCEWithLogitsLoss takes targets in \[0, 1\], got"):
        mg.BCEWithLogitsLoss()(to_device(np.ones((1, 2))), t)
    x = to_device(np.array([[np.nan, 1.0]]))
    assert np.isnan(mg.BCEWithLogitsLoss()(x, to_device(np.ones((1, 2)))))


def test_kl_of_labels_is_the_negative_log_likelihood():
    """0 ln 0 = 0: also where the log-probability of that class is -1e4."""
    log_p = Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))
    log_p[0, 1] = -1e4
    kl, gradient = both(mg.KLDivLoss(reduction="batchmean"), log_p, np.eye(3)[T])
    nll, expected = both(mg.NLLLoss(), log_p, T)
    assert kl == pytest.approx(nll, rel=1e-13)
    np.testing.assert_allclose(gradient, expected, atol=1e-16)


def test_kl_is_zero_between_equals_and_refuses_logarithms():
    log_p = Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))
    assert both(mg.KLDivLoss(), log_p, np.exp(log_p))[0] == pytest.approx(0, abs=1e-15)
    assert both(mg.KLDivLoss(log_target=True), log_p, log_p)[0] == 0
    with pytest.raises(ValueError, match=r"probabilities >= 0.*KLDivLoss\(log_target=True\)"):
        mg.KLDivLoss()(to_device(log_p), to_device(log_p))


def test_the_svm_loss_of_cs231n_is_c_times_multi_margin():
    """L_n = Σ_{j≠y} max(0, s_j - s_y + 1). The course's example: scores 3.2, 5.1, -1.7; a cat."""
    scores, label = np.array([[3.2, 5.1, -1.7]]), np.array([0])
    value, gradient = both(mg.MultiMarginLoss(), scores, label)
    assert 3 * value == pytest.approx(2.9, rel=1e-12)
    np.testing.assert_allclose(3 * gradient, [[-1, 1, 0]], atol=1e-15)


def test_huber_is_half_the_square_near_and_a_line_far_away():
    e, zero = np.array([[0.5, -2.0, 7.0]]), np.zeros((1, 3))
    huber = to_host(mg.HuberLoss(delta=2).each(to_device(e.T.copy()), to_device(zero.T.copy())))
    np.testing.assert_allclose(huber, [0.125, 2.0, 12.0])
    smooth, slope = both(mg.SmoothL1Loss(beta=2), e, zero)
    value, gradient = both(mg.HuberLoss(delta=2), e, zero)
    assert smooth == pytest.approx(value / 2)
    np.testing.assert_allclose(slope, gradient / 2)
    for loss in (mg.SmoothL1Loss(beta=0), mg.L1Loss()):
        assert both(loss, e, zero)[0] == pytest.approx(9.5 / 3)


@pytest.mark.parametrize("kind", [mg.L1Loss, mg.HuberLoss, mg.SmoothL1Loss])
def test_at_the_target_the_slope_is_zero(kind):
    value, gradient = both(kind(), Z, Z)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


class LogCosh(mg.losses.ElementLoss):
    """f = ln cosh(x - t): two methods are a whole loss."""

    def terms(self, x, target):
        xp = mg.backend.array_module(x, target)
        e = x - target
        self.cache = xp.tanh(e)
        return xp.log((xp.exp(e) + xp.exp(-e)) / 2)

    def slopes(self):
        return self.recall()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_loss_of_two_methods_is_whole(reduction, rng):
    x, t = (to_device(rng.standard_normal((4, 3, 2))) for _ in range(2))
    report = mg.gradcheck.check(LogCosh(reduction), x, t)
    assert report, report


@pytest.mark.on_host
def test_a_loss_of_one_method_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match=r"ElementLoss has no terms\(x, target\) yet"):
        mg.losses.ElementLoss()(Z, Z)
    with pytest.raises(NotImplementedError, match=r"ElementLoss has no slopes\(\) yet"):
        mg.losses.ElementLoss().backward()


@pytest.mark.parametrize("options", [{"weight": [1, 0, 1]}, {"ignore_index": 1}])
def test_a_set_in_which_no_label_counts_cannot_be_evaluated(options):
    data = mg.data.Dataset(
        to_device(np.ones((4, 2), "float32")), to_device(np.ones(4, int)), classes=3
    )
    with pytest.raises(ValueError, match="no label of this batch counts"):
        mg.evaluate(mg.Linear(2, 3, seed=0), mg.CrossEntropyLoss(**options), data)


# ------------------------------------------------------------------ wrong arguments, copies, repr

WRONG = [
    (lambda: mg.CrossEntropyLoss(weight="heavy"), TypeError, "weight must be an array of numbers"),
    (lambda: mg.CrossEntropyLoss(weight=[1, np.nan]), ValueError, "weight must be finite"),
    (
        lambda: mg.CrossEntropyLoss(weight=[[1, 2]]),
        ValueError,
        r"one number for each class, \(C,\)",
    ),
    (lambda: mg.NLLLoss(ignore_index=1.0), TypeError, "ignore_index must be a label or None"),
    (lambda: mg.NLLLoss(ignore_index=True), TypeError, "ignore_index must be a label or None"),
    (lambda: mg.CrossEntropyLoss(label_smoothing=1.1), ValueError, r"in \[0, 1\], got 1.1"),
    (lambda: mg.CrossEntropyLoss(label_smoothing="a"), TypeError, "label_smoothing must be a num"),
    (lambda: mg.HuberLoss(delta=0), ValueError, "delta must be a number > 0"),
    (lambda: mg.SmoothL1Loss(beta=-1), ValueError, "beta must be a number >= 0"),
    (lambda: mg.MultiMarginLoss(p=3), ValueError, "p must be 1 or 2, got 3"),
    (lambda: mg.MultiMarginLoss(margin=np.inf), ValueError, "margin must be a finite number"),
    (lambda: mg.KLDivLoss(log_target=1), TypeError, "log_target must be True or False"),
    (lambda: mg.BCEWithLogitsLoss(pos_weight=[np.inf]), ValueError, "pos_weight must be finite"),
    (lambda: mg.CrossEntropyLoss(weight=[1, 2])(Z, T), ValueError, "3 for an output.*got 2"),
    (lambda: mg.MultiMarginLoss(weight=[1, 2])(Z, T), ValueError, "3 for an output.*got 2"),
    (lambda: mg.BCELoss(weight=[1, 2])(Z, Z), ValueError, r"shape \(2,\), which does not fit"),
    (lambda: mg.MultiMarginLoss()(np.ones((2, 3, 4)), np.ones((2, 4), int)), ValueError, "N, C"),
    (lambda: mg.CrossEntropyLoss()(np.ones((2, 3, 4)), np.ones(2, int)), ValueError, r"\(2, 4\)"),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("make", "error", "words"), WRONG)
def test_wrong_arguments_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.on_host
def test_the_repr_shows_what_is_not_the_default():
    assert repr(mg.CrossEntropyLoss()) == "CrossEntropyLoss()"
    loss = mg.CrossEntropyLoss([1, 2.5], label_smoothing=0.1)
    assert repr(loss) == "CrossEntropyLoss(weight=[1.0, 2.5], label_smoothing=0.1)"
    for case in LOSSES:
        made = case.make()
        again = eval(repr(made), vars(mg))
        assert repr(again) == repr(made)
        assert type(again) is type(made)


@pytest.mark.on_host
def test_a_run_goes_on_with_the_same_options_only(tmp_path, rng):
    x = rng.standard_normal((12, 4)).astype("float32")
    data = mg.data.Dataset(x, np.arange(12) % 3, classes=3)

    def run(loss, epochs, path):
        net = mg.Sequential(mg.Linear(4, 3, seed=0))
        backprop, sgd = mg.rules.Backprop(), mg.SGD(net, 0.1)
        options = {"batch_size": 5, "seed": 0, "checkpoint": tmp_path / path, "resume": True}
        return mg.fit(net, loss, backprop, sgd, data, epochs=epochs, **options).train_loss

    def loss():
        return mg.CrossEntropyLoss([0.1, 2, 1 / 3], ignore_index=0, label_smoothing=0.1)

    run(loss(), 1, "first.npz")
    assert run(loss(), 3, "first.npz") == run(loss(), 3, "unbroken.npz")
    with pytest.raises(ValueError, match=r"another loss.*this one has CrossEntropyLoss\(\)"):
        run(mg.CrossEntropyLoss(), 3, "first.npz")


@pytest.mark.parametrize("case", **loss_cases)
def test_a_copy_and_a_pickle_are_the_same_loss(case, rng):
    output, target = case.batch(rng)
    loss = case.make()
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert twin(output, target) == loss(output, target)


def test_options_bring_only_the_loss_to_the_host(device, rng):
    if device != "standin":
        pytest.skip("the stand-in counts its transfers")
    import cupy

    for case in LOSSES:
        output, target = case.batch(rng)
        loss = case.make()
        before = cupy.transfers
        loss(output, target)
        loss.backward()
        assert cupy.transfers - before == 1, case.name


@pytest.mark.on_host
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_short(kind):
    """Its mathematics, in the order in which one reads it."""
    order = ["forward", "each", "terms", "backward", "slopes", "jvp", "each_jvp"]
    found = methods(kind)
    own = [name for name in found if name in order]
    assert sum(len(found[name]) for name in own) <= 31
    assert sum(len(code) for name, code in found.items() if name != "__init__") <= 46
    assert own == [name for name in order if name in found]
