"""The architectures of the one supervised student: shapes, equations, heads, exact continuation."""

import numpy as np
import pytest
import torch

from students.architectures import image_shape, sequence_shape
from students.check import check_student
from students.supervised import Classifier

KINDS = {
    "cnn": {"hidden": (8, 12)},
    "rnn": {"hidden": (16,)},
    "gru": {"hidden": (12, 16)},
    "lstm": {"hidden": (16,)},
    "transformer": {"hidden": (16, 16), "attention_heads": 2},
}
SEQUENCES = [kind for kind in KINDS if kind != "cnn"]


def student(kind, shape=(5, 3), classes=3, seed=0, **options):
    return Classifier(shape, classes, seed=seed, architecture=kind, **{**KINDS[kind], **options})


def data(shape=(5, 3), count=24, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(count, *shape)).astype(np.float32)
    return inputs, rng.integers(classes, size=count)


@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind):
    records = check_student(Classifier, architecture=kind, learning_rate=5e-3, **KINDS[kind])
    assert all(record.status == "passed" for record in records)


@pytest.mark.parametrize("kind", KINDS)
def test_alignment_matches_exact_products(kind):
    ours, (inputs, targets) = student(kind), data()
    for _ in range(20):
        ours.train(inputs, targets)
    reference = data(seed=1)

    def gradient(rows, classes):
        """The gradient of the mean loss, read from a step of plain gradient descent."""
        copy = student(kind)
        copy.load_state_dict(ours.state_dict())
        logits, _ = copy._network(torch.from_numpy(rows), copy._leaves)
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(classes)).backward()
        return copy.parameters.grad.numpy().astype(np.float64)

    mean = gradient(*reference)
    exact = [gradient(inputs[[i]], targets[[i]]) @ mean for i in range(len(targets))]
    found = ours.alignment(inputs, targets, reference)
    assert found == pytest.approx(exact, rel=5e-3, abs=5e-3 * np.abs(exact).max())
    assert np.corrcoef(found, exact)[0, 1] > 0.99999


@pytest.mark.parametrize(("kind", "layer"), [("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM)])
def test_a_recurrent_student_is_torchs_layer_under_adam(kind, layer):
    ours, (inputs, targets) = student(kind, hidden=(16,)), data()
    body, head = layer(3, 16, batch_first=True), torch.nn.Linear(16, 3)
    network = torch.nn.ModuleList([body, head])
    vector = torch.from_numpy(ours.state_dict()["parameters"])
    torch.nn.utils.vector_to_parameters(vector, network.parameters())
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(3):
        ours.train(inputs, targets)
        states, _ = body(torch.from_numpy(inputs))
        optimizer.zero_grad()
        logits = head(states[:, -1])
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets)).backward()
        optimizer.step()
    theirs = torch.nn.utils.parameters_to_vector(network.parameters()).detach().numpy()
    assert np.allclose(ours.state_dict()["parameters"], theirs, atol=1e-6)


def test_an_lstm_starts_by_remembering():
    start = dict(zip(*_named(student("lstm")), strict=True))
    bias = start["body.layers.0.bias_ih_l0"]
    assert bias.tolist() == 16 * [0.0] + 16 * [1.0] + 32 * [0.0]
    assert not start["body.layers.0.bias_hh_l0"].any()
    weight = start["body.layers.0.weight_ih_l0"]
    assert 0.9 * 16**-0.5 < np.abs(weight).max() <= 16**-0.5


def _named(ours):
    views = ours._views(torch.from_numpy(ours.state_dict()["parameters"]))
    return ours._network.names, [view.numpy() for view in views]


def test_normalisations_start_as_the_identity():
    start = dict(zip(*_named(student("transformer")), strict=True))
    norms = {name: values for name, values in start.items() if "norm" in name}
    assert len(norms) == 10
    for name, values in norms.items():
        assert (values == (1 if name.endswith("weight") else 0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_decide_and_global_randomness_is_left_alone(kind):
    before = torch.get_rng_state()
    first, again, other = (student(kind, seed=seed).state_dict() for seed in (0, 0, 1))
    assert np.array_equal(first["parameters"], again["parameters"])
    assert not np.array_equal(first["parameters"], other["parameters"])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", SEQUENCES)
def test_the_order_of_the_steps_matters(kind):
    ours, (inputs, _) = student(kind), data()
    assert not np.allclose(
        ours.predict(inputs)["logits"], ours.predict(inputs[:, ::-1])["logits"], atol=1e-4
    )


def test_a_convolution_looks_for_shapes_wherever_they_are():
    ours = student("cnn", shape=(12, 12), hidden=(8,))
    image = np.zeros((1, 12, 12), dtype=np.float32)
    image[0, 3:5, 3:6] = 1.0
    moved = np.roll(image, (4, 3), axis=(1, 2))
    assert np.allclose(ours.predict(image)["logits"], ours.predict(moved)["logits"], atol=1e-5)
    assert ours.predict(image)["embedding"].shape == (1, 16)


def test_shapes_get_the_axes_they_lack():
    assert image_shape((64,)) == (1, 8, 8) and image_shape((6,)) == (1, 1, 6)
    assert image_shape((4, 5)) == (1, 4, 5) and image_shape((3, 4, 5)) == (3, 4, 5)
    assert sequence_shape((6,)) == (6, 1) and sequence_shape((4, 2, 3)) == (4, 6)
    with pytest.raises(ValueError, match="channels, height, width"):
        image_shape((1, 2, 3, 4))


@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_head_answers_for_its_own_inputs_only(kind):
    ours, (inputs, targets) = student(kind, shape=(5, 4), heads=2), data((5, 4))
    inputs[:, :, 3] = np.repeat(np.arange(24)[:, None] % 2, 5, axis=1)
    before = dict(zip(*_named(ours), strict=True))
    swapped = inputs.copy()
    swapped[:, :, 3] = 1 - swapped[:, :, 3]
    one, other = ours.predict(inputs), ours.predict(swapped)
    assert np.array_equal(one["embedding"], other["embedding"])  # the body is not told
    assert not np.allclose(one["logits"], other["logits"])
    weight, bias = before["output.weight"], before["output.bias"]
    by_hand = one["embedding"][1] @ weight[3:].T + bias[3:]
    assert np.allclose(one["logits"][1], by_hand, atol=1e-6)
    ours.train(inputs[1::2], targets[1::2])  # head 1 only
    after = dict(zip(*_named(ours), strict=True))
    assert np.array_equal(after["output.weight"][:3], weight[:3])
    assert not np.array_equal(after["output.weight"][3:], weight[3:])


def test_a_head_that_does_not_exist_is_named():
    ours, (inputs, targets) = student("gru", shape=(5, 4), heads=2), data((5, 4))
    inputs[:, :, 3] = 2
    with pytest.raises(ValueError, match=r"head in 0\.\.1, but holds 2 to 2"):
        ours.train(inputs, targets)


def test_clipping_shortens_long_gradients_only():
    inputs, targets = data()
    lengths = []
    for clip in (0.0, 1e-3, 1e3):
        ours = student("rnn", clip=clip)
        ours.train(inputs, targets)
        lengths.append(float(ours.parameters.grad.norm()))
    assert lengths[0] == lengths[2] > 0.01
    assert lengths[1] == pytest.approx(1e-3, rel=1e-4)


@pytest.mark.parametrize("kind", SEQUENCES)
def test_sequence_students_remember_the_first_step(kind):
    rng = np.random.default_rng(0)
    ours = student(kind, shape=(6, 1), classes=2, learning_rate=1e-2)
    for _ in range(200):
        inputs = rng.normal(size=(32, 6, 1)).astype(np.float32)
        ours.train(inputs, (inputs[:, 0, 0] > 0).astype(np.int64))
    inputs = rng.normal(size=(300, 6, 1)).astype(np.float32)
    right = ours.predict(inputs)["logits"].argmax(axis=1) == (inputs[:, 0, 0] > 0)
    assert right.mean() > 0.9


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"architecture": "gpt"}, "architecture must be one of mlp, cnn"),
        ({"architecture": "gru", "hidden": ()}, "at least one width"),
        ({"architecture": "transformer", "hidden": (16, 8)}, "equal widths"),
        ({"architecture": "transformer", "hidden": (18,)}, "attention_heads divides"),
        ({"architecture": "cnn", "heads": 2}, "heads = 2 needs"),
        ({"architecture": "gru", "heads": 2}, "heads = 2 needs"),
        ({"clip": -1.0}, "clip"),
    ],
)
def test_options_that_do_not_fit(options, match):
    with pytest.raises(ValueError, match=match):
        Classifier((6,), 3, seed=0, **options)


# Choosers: a query and one candidate per class


CHOOSERS = {"scorer": {"hidden": (16, 8)}, "dual": {"hidden": (16, 8)}}


def chooser(kind, seed=0, **options):
    return Classifier((5, 6), 4, seed=seed, architecture=kind, **{**CHOOSERS[kind], **options})


@pytest.mark.parametrize("kind", CHOOSERS)
def test_a_chooser_learns_which_candidate_is_like_the_query(kind):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 5, 6)).astype(np.float32)
    targets = (inputs[:, 1:] * inputs[:, :1]).sum(axis=2).argmax(axis=1)
    ours, again = chooser(kind, learning_rate=1e-2), chooser(kind, learning_rate=1e-2)
    for step in range(150):
        if step == 100:
            again.load_state_dict(ours.state_dict())
        for each in (ours, again) if step >= 100 else (ours,):
            each.train(inputs, targets)
    found = ours.predict(inputs)
    assert (found["logits"].argmax(axis=1) == targets).mean() > 0.75
    assert found["embedding"].shape == (400, 8)
    assert np.array_equal(found["logits"], again.predict(inputs)["logits"])
    # Candidates are judged alike wherever they stand.
    order = [0, 3, 1, 4, 2]
    moved = ours.predict(inputs[:, order])["logits"]
    assert np.allclose(moved, found["logits"][:, np.array(order[1:]) - 1], atol=1e-5)


def test_a_dual_encoder_by_hand():
    ours = chooser("dual", hidden=(7,))
    inputs = data((5, 6), classes=4)[0]
    names = dict(zip(*_named(ours), strict=True))
    sides = ((inputs[:, :1], "query"), (inputs[:, 1:], "other"))
    codes = [rows @ names[f"{side}.0.weight"].T + names[f"{side}.0.bias"] for rows, side in sides]
    codes = [code / np.linalg.norm(code, axis=2, keepdims=True) for code in codes]
    expected = 10 * (codes[0] * codes[1]).sum(axis=2)
    assert np.allclose(ours.predict(inputs)["logits"], expected, atol=1e-5)


@pytest.mark.parametrize("kind", CHOOSERS)
def test_a_chooser_needs_a_row_per_class_beside_the_query(kind):
    for shape, classes in (((5, 6), 5), ((30,), 4)):
        with pytest.raises(ValueError, match="a query and one row per class"):
            Classifier(shape, classes, seed=0, architecture=kind, hidden=(8,))
    with pytest.raises(ValueError, match="one head"):
        chooser(kind, heads=2)
