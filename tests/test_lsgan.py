import copy

import numpy as np
import pytest
import torch

from teachers.lsgan import BATCH, LSGAN


def torch_network(network, leak, outputs=lambda x: x):
    """The same weights as tensors (inputs + 1, outputs), and a function of them."""
    layers = [torch.tensor(each, dtype=torch.float64) for each in network.layers]

    def answer(x):
        for row, layer in enumerate(layers):
            x = x @ layer[:-1] + layer[-1]
            x = torch.where(x > 0, x, leak * x) if row < len(layers) - 1 else outputs(x)
        return x

    return [layer.requires_grad_() for layer in layers], answer


def rmsprop(layers, squares, loss):
    for row, gradient in enumerate(torch.autograd.grad(loss, layers)):
        squares[row] = 0.9 * squares[row] + 0.1 * gradient.square()
        with torch.no_grad():
            layers[row] -= 1e-3 * gradient / squares[row].sqrt()


def test_training_descends_on_the_published_losses_with_rmsprop():
    gan = LSGAN(2, np.random.default_rng(0), 16)
    judge, of = torch_network(gan.discriminator, 0.1)
    maker, made = torch_network(gan.generator, 0.0, torch.tanh)
    squares = [[torch.ones_like(each) for each in layers] for layers in (judge, maker)]
    points, labels = gan.rng.random((30, 2)), np.arange(30) % 2
    twin = copy.deepcopy(gan.rng)
    gan.train(points, labels, 3)
    batches = twin.integers(30, size=(3, BATCH))
    for batch, z in zip(batches, twin.standard_normal((3, BATCH, 2), np.float32), strict=True):
        z, c = torch.from_numpy(z).double(), torch.from_numpy(2 * points[batch] - 1)
        y = torch.from_numpy(labels[batch])[:, None]
        good, bad = (of(c) - (2 * y - 1)).square(), (of(made(z).detach()) + 1).square()
        rmsprop(judge, squares[0], torch.cat([good, bad]).mean())
        rmsprop(maker, squares[1], (of(made(z)) - 1).square().mean())
    for network, layers in ((gan.discriminator, judge), (gan.generator, maker)):
        for mine, theirs in zip(network.layers, layers, strict=True):
            assert np.allclose(mine, theirs.detach(), rtol=0, atol=2e-6)
    assert BATCH == 64


def test_the_generator_learns_good_examples_and_leaves_bad_ones():
    rng = np.random.default_rng(0)
    gan = LSGAN(1, rng, 128)
    points = rng.random((400, 1))
    gan.train(points, np.abs(points[:, 0] - 0.7) < 0.1, 250)
    generated = gan.sample(500)
    assert 0 <= generated.min() and generated.max() <= 1 and generated.dtype == np.float64
    assert np.mean(np.abs(generated - 0.7) < 0.125) > 0.8


@pytest.mark.parametrize("reach", [0.5, 1.0])
def test_placing_gives_the_generator_a_mean_and_a_deviation(reach):
    rng = np.random.default_rng(1)
    for mean, std in (
        ([0.2, 0.7], [0.1, 0.02]),
        ([0.0, 1.0], [0.05, 0.05]),
        ([0.5] * 2, [0.3] * 2),
    ):
        gan = LSGAN(2, np.random.default_rng(0), 64, reach)
        gan.place(np.array(mean), np.array(std))
        points = np.clip(gan.sample(2000), 0, 1)
        wanted = np.clip(rng.normal(mean, std, (2000, 2)), 0, 1)
        assert points.mean(axis=0) == pytest.approx(wanted.mean(axis=0), abs=0.03)
        assert points.std(axis=0) == pytest.approx(wanted.std(axis=0), rel=0.5)


def test_saved_networks_continue_exactly():
    points, labels = np.random.default_rng(0).random((50, 2)), np.arange(50) % 2
    one, other = (LSGAN(2, np.random.default_rng(seed), 16) for seed in (0, 1))
    one.train(points, labels, 20)
    state = one.state_dict()
    kept = copy.deepcopy(state)
    other.load_state_dict(state)
    other.rng = copy.deepcopy(one.rng)
    third = copy.deepcopy(one)
    for gan in (one, other, third):
        gan.train(points, labels, 20)
    expected = one.sample(100)
    assert np.array_equal(expected, other.sample(100))
    assert np.array_equal(expected, third.sample(100))
    for name, each in state.items():  # neither saving nor loading shares memory
        assert all(np.array_equal(each[key], kept[name][key]) for key in each)
