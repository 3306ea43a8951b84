import numpy as np
import pytest
import torch

from students.rates import Rates
from students.supervised import Classifier


def data(n=48, width=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, width)).astype(np.float32)
    return inputs, inputs[:, :classes].argmax(axis=1).astype(np.int64)


def student(seed=0, hidden=(16, 8), **options):
    return Classifier((6,), 3, seed=seed, hidden=hidden, **options)


def same(first, second):
    return np.array_equal(first.state_dict()["parameters"], second.state_dict()["parameters"])


def plain_torch(ours):
    """The same network as ordinary torch modules with the same initial parameters."""
    layers = []
    for outputs, inputs in [shape for shape in ours._shapes if len(shape) == 2]:
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    vector = torch.from_numpy(ours.state_dict()["parameters"])
    torch.nn.utils.vector_to_parameters(vector, network.parameters())
    return network


def test_a_step_is_adam_on_the_mean_cross_entropy():
    ours, (inputs, targets) = student(), data()
    network = plain_torch(ours)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for start in (0, 16, 32):
        batch = slice(start, start + 16)
        ours.train(inputs[batch], targets[batch])
        logits = network(torch.from_numpy(inputs[batch]))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets[batch])).backward()
        optimizer.step()
    theirs = torch.nn.utils.parameters_to_vector(network.parameters()).detach().numpy()
    assert np.allclose(ours.state_dict()["parameters"], theirs, atol=1e-6)
    assert ours.updates == 3


def test_report_is_measured_before_the_step():
    ours, (inputs, targets) = student(), data()
    before = ours.predict(inputs)
    report = ours.train(inputs, targets)
    logits = before["logits"].astype(float)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets]
    assert np.allclose(report["loss"], losses, atol=1e-6)
    assert np.array_equal(report["logits"], before["logits"])
    assert np.array_equal(report["embedding"], before["embedding"])
    assert report["embedding"].shape == (48, 8)
    assert np.array_equal(report["correct"], logits.argmax(axis=1) == targets)
    assert not np.array_equal(ours.predict(inputs)["logits"], before["logits"])


def test_it_learns():
    ours, (inputs, targets) = student(), data(200)
    for _ in range(300):
        ours.train(inputs, targets)
    assert (ours.predict(inputs)["logits"].argmax(axis=1) == targets).mean() > 0.97


def test_weights_of_one_change_no_bit():
    plain, weighed, (inputs, targets) = student(), student(), data()
    for start in (0, 16, 32):
        batch = slice(start, start + 16)
        plain.train(inputs[batch], targets[batch])
        weighed.train(inputs[batch], targets[batch], lambda batch: np.ones(len(batch["loss"])))
    assert same(plain, weighed)


def test_weights_scale_each_loss():
    inputs, targets = data(4)
    weighed, doubled = student(), student()
    weighed.train(inputs, targets, lambda batch: np.array([2.0, 0.0, 2.0, 0.0]))
    doubled.train(inputs[[0, 2]], targets[[0, 2]])
    gap = weighed.state_dict()["parameters"] - doubled.state_dict()["parameters"]
    assert np.abs(gap).max() < 1e-5


def test_weights_of_zero_skip_the_step():
    ours, untouched, (inputs, targets) = student(), student(), data()
    report = ours.train(inputs, targets, lambda batch: np.zeros(len(batch["loss"])))
    assert same(ours, untouched) and ours.updates == 0
    assert report["loss"].shape == (48,)


def test_a_teacher_cannot_reach_the_graph():
    spoiled, clean, (inputs, targets) = student(), student(), data()

    def spoil(batch):
        batch["loss"][:] = 0
        batch["logits"][:] = 0
        return np.ones(len(targets))

    report = spoiled.train(inputs, targets, spoil)
    clean.train(inputs, targets)
    assert same(spoiled, clean) and report["loss"].all()


@pytest.mark.parametrize(
    "weights", [np.ones(3), np.full(48, np.nan), np.full(48, np.inf), np.full(48, -1.0), 1.0]
)
def test_wrong_weights(weights):
    inputs, targets = data()
    with pytest.raises(ValueError, match="weights must be 48 finite numbers"):
        student().train(inputs, targets, lambda batch: weights)


def exact_products(ours, inputs, targets, reference):
    network = plain_torch(ours).double()

    def gradient(rows, classes):
        logits = network(torch.from_numpy(rows).double())
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(classes))
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, network.parameters())])

    mean = gradient(*reference)
    rows = range(len(targets))
    return np.array([float(gradient(inputs[[i]], targets[[i]]) @ mean) for i in rows])


def test_alignment_matches_exact_products():
    ours, (inputs, targets) = student(), data(200)
    for _ in range(50):
        ours.train(inputs, targets)
    reference = data(30, seed=1)
    exact = exact_products(ours, inputs[:40], targets[:40], reference)
    ours_before = ours.state_dict()
    found = ours.alignment(inputs[:40], targets[:40], reference)
    assert found == pytest.approx(exact, rel=2e-3, abs=2e-3 * np.abs(exact).max())
    assert np.corrcoef(found, exact)[0, 1] > 0.999999
    assert np.array_equal(ours.state_dict()["parameters"], ours_before["parameters"])


def test_alignment_with_a_vanishing_gradient_is_zero():
    ours = student(hidden=())
    state = ours.state_dict()
    state["parameters"][:] = 0
    ours.load_state_dict(state)
    inputs, targets = np.zeros((3, 6), np.float32), np.array([0, 1, 2])  # the mean gradient is 0
    assert np.array_equal(ours.alignment(inputs, targets, (inputs, targets)), np.zeros(3))


@pytest.mark.parametrize("steps", [0, 5])
def test_saved_students_continue_exactly(steps):
    ours, (inputs, targets) = student(), data()
    for _ in range(steps):
        ours.train(inputs, targets)
    state = ours.state_dict()
    copy = student(seed=9)
    copy.train(inputs, targets)  # what it learned before must not survive
    copy.load_state_dict(state)
    for _ in range(5):
        ours.train(inputs, targets)
        copy.train(inputs, targets)
    assert same(ours, copy) and copy.updates == steps + 5


def test_a_saved_state_is_a_copy_of_plain_arrays():
    ours, (inputs, targets) = student(), data()
    ours.train(inputs, targets)
    state = ours.state_dict()
    frozen = state["parameters"].copy()
    ours.train(inputs, targets)
    assert np.array_equal(state["parameters"], frozen)
    values = [state["parameters"], *state["optimizer"].values()]
    assert all(isinstance(value, np.ndarray) for value in values)


def test_a_state_of_another_size_is_refused():
    with pytest.raises(ValueError, match="other layer widths"):
        student().load_state_dict(student(hidden=(4,)).state_dict())


def test_seeds_decide_and_global_randomness_is_left_alone():
    before = torch.get_rng_state()
    first, second, other = student(seed=0), student(seed=0), student(seed=1)
    first.train(*data())
    second.train(*data())
    assert same(first, second) and not same(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_images_and_linear_classifiers():
    linear = Classifier((2, 3), 4, seed=0, hidden=())
    inputs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    answer = linear.predict(inputs)
    assert answer["logits"].shape == (5, 4)
    assert np.array_equal(answer["embedding"], inputs.reshape(5, 6))
    assert linear.predict(inputs[:0])["logits"].shape == (0, 4)


def test_read_only_batches_are_fine(recwarn):
    inputs, targets = data()
    inputs.flags.writeable = targets.flags.writeable = False
    student().train(inputs, targets)
    assert not recwarn.list


def test_misfits_are_explained():
    ours, (inputs, targets) = student(), data()
    with pytest.raises(ValueError, match=r"inputs must have shape \(n, 6\)"):
        ours.train(inputs[:, :5], targets)
    with pytest.raises(ValueError, match=r"class numbers in 0\.\.2"):
        ours.train(inputs, targets + 1)
    with pytest.raises(ValueError, match="48 class numbers"):
        ours.train(inputs, targets[:10])


@pytest.mark.parametrize(
    "options",
    [
        {"device": "tpu"},
        {"hidden": (0,)},
        {"learning_rate": 0.0},
        {"betas": (0.9, 1.0)},
        {"epsilon": 0.0},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        student(**options)


def test_learning_rates_by_hand():
    wsd = Rates(0.1, "wsd", 100, 0.2)
    assert [wsd(k) for k in (0, 80, 90, 95, 100, 200)] == pytest.approx(
        [0.1, 0.1, 0.05, 0.025, 0, 0]
    )
    assert [Rates(1, "linear", 4, 0.1)(k) for k in range(6)] == [1, 0.75, 0.5, 0.25, 0, 0]
    cosine = [Rates(2, "cosine", 4, 0.1)(k) for k in range(5)]
    assert cosine == pytest.approx([2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5, 0])
    for options in (("step", 9, 0.1), ("wsd", 0, 0.1), ("wsd", 9, 0.0)):
        with pytest.raises(ValueError, match="schedule"):
            Rates(0.1, *options)


def test_the_schedule_moves_the_step_and_survives_a_restart():
    inputs, targets = data()
    options = {"schedule": "linear", "schedule_updates": 4}
    ours, plain = student(**options), student()
    for _ in range(2):
        ours.train(inputs, targets)
    again = student(**options)
    again.load_state_dict(ours.state_dict())
    for _ in range(2):
        ours.train(inputs, targets)
        again.train(inputs, targets)
    assert same(ours, again)
    before = ours.state_dict()["parameters"]
    ours.train(inputs, targets)  # past the end of the schedule: the rate is 0
    assert np.array_equal(ours.state_dict()["parameters"], before)
    plain.train(inputs, targets)
    assert not same(ours, plain)


def test_heads_of_a_perceptron_share_all_but_the_last_layer():
    rng = np.random.default_rng(0)
    inputs = np.column_stack([rng.normal(size=(40, 5)), rng.integers(3, size=40)])
    inputs = inputs.astype(np.float32)
    ours = student(heads=3)
    assert ours._shapes == [(16, 5), (16,), (8, 16), (8,), (9, 8), (9,)]
    found = ours.predict(inputs)
    weight, bias = (leaf.detach().numpy() for leaf in ours._leaves[-2:])
    every = (found["embedding"] @ weight.T + bias).reshape(40, 3, 3)
    expected = every[np.arange(40), inputs[:, -1].astype(int)]
    assert np.allclose(found["logits"], expected, atol=1e-6)
    before = ours.predict(inputs[inputs[:, -1] == 2])["logits"]
    ours.parameters.detach()[-3:] += 1.0  # the biases of the last head
    assert np.allclose(ours.predict(inputs[inputs[:, -1] == 2])["logits"], before + 1, atol=1e-5)
    bad = inputs.copy()
    bad[0, -1] = 3
    with pytest.raises(ValueError, match=r"head in 0\.\.2"):
        ours.predict(bad)
    with pytest.raises(ValueError, match="at least two numbers"):
        Classifier((1,), 3, seed=0, heads=2)
