"""Several PPO students of one shape learn at once: their networks stand in one stack.

Every layer is one batched matrix product over all students, and one optimiser step moves all of
them. That pays where many small products cost more to start than to compute: on a GPU, and on the
CPU with small minibatches. Acting, rollouts, random numbers and normalisers stay each student's
own, and so does its state: after every update weights and moments are handed back, so that a
student is saved, restored and continued as if it had learned alone.

A stacked student learns what it learns alone up to the rounding of sums in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from students.capture import Captured, Record, record_graph
from students.networks import ActorCritic, Chain
from students.ppo import EPSILON, PPO

MOMENTS = ("exp_avg", "exp_avg_sq")  # as torch's Adam calls them


def recipe(student: PPO) -> tuple[object, ...]:
    """What students must share to learn in one stack."""
    names = (
        "size shape device length num_envs epochs parts clip value_clip value_coefficient "
        "entropy_coefficient max_gradient_norm"
    )
    return tuple(getattr(student, name) for name in names.split())


class StackedActorCritic:
    """The networks of ``count`` students; their flat parameters are the rows of one matrix.

    Args:
        pattern: a network of the shape that all have.
        parameters: (count, number of parameters), in the order of ``pattern.parameters()``.
    """

    def __init__(self, pattern: ActorCritic, parameters: torch.Tensor):
        self.rows, start = {}, 0
        for parameter in pattern.parameters():
            end = start + parameter.numel()
            self.rows[parameter] = parameters[:, start:end].view(-1, *parameter.shape)
            start = end
        self.pattern, self.log_std = pattern, self.rows[pattern.log_std].unsqueeze(1)

    def __call__(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean actions (count, n, outputs) and values (count, n)."""
        features = self._chain(self.pattern.body, observations)
        mean = self._chain(self.pattern.policy, features)
        return mean, self._chain(self.pattern.critic, features).squeeze(-1)

    def _chain(self, chain: Chain | nn.Identity, rows: torch.Tensor) -> torch.Tensor:
        if isinstance(chain, nn.Identity):
            return rows
        last = len(chain.linear) - 1
        for number, (weight, bias) in enumerate(chain.linear):
            weights, biases = self.rows[weight].transpose(1, 2), self.rows[bias].unsqueeze(1)
            rows = torch.baddbmm(biases, rows, weights)
            if number < last or not chain.ends_linear:
                rows = chain.activation(rows)
        return rows

    def log_prob(self, mean: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Log-densities (count, n), up to a constant that cancels in ratios."""
        scaled = (actions - mean) * torch.exp(-self.log_std)
        return -0.5 * scaled.square().sum(-1) - self.log_std.sum(-1)

    def entropy(self) -> torch.Tensor:
        """The mean of the students' entropies, up to a constant."""
        return self.log_std.sum(-1).mean()


class Stack:
    """Takes the optimiser steps of several students together.

    Args:
        record: how a step is recorded on a GPU; ``always``: on the CPU, too.
    """

    def __init__(self, record: Record = record_graph, always: bool = False):
        self.record, self.always = record, always
        self.members: dict[tuple[object, int], Together] = {}

    def learn(self, students: Sequence[PPO]) -> dict[int, ValueError]:
        """Let students whose rollout is full learn from it, and go on.

        Returns the errors of those that could not, by their place in ``students``; they have
        learned nothing.

        Raises:
            ValueError: the students are not of one shape.
        """
        if len({recipe(student) for student in students}) > 1:
            raise ValueError("students in a stack must have the same options")
        batches, errors = {}, {}
        for place, student in enumerate(students):
            try:
                batches[place] = student.begin_update()
            except ValueError as error:
                errors[place] = error
        if batches:
            able = [students[place] for place in batches]
            together = self._together(able)
            together.take(able)
            for _ in range(able[0].epochs):
                shuffled = [
                    each.shuffled(batches[place]) for place, each in zip(batches, able, strict=True)
                ]
                columns = [torch.stack(parts) for parts in zip(*shuffled, strict=True)]
                parts = [column.tensor_split(able[0].parts, dim=1) for column in columns]
                for minibatch in zip(*parts, strict=True):
                    together(*minibatch)
            together.hand_back(able)
            for student in able:
                student.end_update()
                student.conclude()
        return errors

    def _together(self, students: Sequence[PPO]) -> Together:
        """What as many students of their shape have in common, kept for the next time."""
        key = recipe(students[0]), len(students)
        if key not in self.members:
            records = self.always or students[0].device.type == "cuda"
            record = self.record if records else None
            self.members[key] = Together(students[0], len(students), record)
        return self.members[key]


class Together:
    """Weights, gradients and Adam of ``count`` students like ``pattern``, as rows of matrices.

    Adam is written out, because each student has a step count and a learning rate of its own:
    D. P. Kingma, J. Ba, 2015, https://arxiv.org/abs/1412.6980, algorithm 1.
    """

    def __init__(self, pattern: PPO, count: int, record: Record | None):
        self.pattern = pattern
        shape, device = (count, pattern.parameters.numel()), pattern.device
        self.parameters = torch.zeros(shape, device=device, requires_grad=True)
        self.parameters.grad = torch.zeros(shape, device=device)
        self.moments = {name: torch.zeros(shape, device=device) for name in MOMENTS}
        # In float64: 1 - 0.999 has few digits in float32.
        self.steps = torch.zeros((count, 1), dtype=torch.float64, device=device)
        self.rates = torch.zeros((count, 1), dtype=torch.float64, device=device)
        self.step = Captured(self._descend, record) if record else self._descend

    def __call__(self, *columns: torch.Tensor) -> None:
        """Take one optimiser step on a minibatch (count, n, ...) of each student."""
        self.step(*columns)

    @torch.no_grad()
    def take(self, students: Sequence[PPO]) -> None:
        """Gather what the students' own optimisers hold."""
        for row, student in enumerate(students):
            group = student.optimizer.param_groups[0]
            state = student.optimizer.state.get(student.parameters, {})
            self.parameters[row].copy_(student.parameters)
            self.rates[row] = float(group["lr"])
            self.steps[row] = float(state.get("step", 0))
            for name, moment in self.moments.items():
                moment[row] = state.get(name, 0.0)

    @torch.no_grad()
    def hand_back(self, students: Sequence[PPO]) -> None:
        """Give the students what they have learned."""
        steps = self.steps.flatten().tolist()
        for row, student in enumerate(students):
            student.parameters.copy_(self.parameters[row])
            state = {name: moment[row].clone() for name, moment in self.moments.items()}
            step = torch.tensor(steps[row], dtype=torch.float32, device=student.device)
            student.optimizer.state[student.parameters] = {"step": step, **state}

    def _descend(
        self,
        observations: torch.Tensor,
        actions: torch.Tensor,
        old_log_prob: torch.Tensor,
        advantages: torch.Tensor,
        *others: torch.Tensor,
    ) -> None:
        network = StackedActorCritic(self.pattern.network, self.parameters)
        mean = advantages.mean(-1, keepdim=True)
        spread = (advantages - mean).square().mean(-1, keepdim=True).sqrt()
        advantages = (advantages - mean) / (spread + EPSILON)
        loss = self.pattern.loss(network, observations, actions, old_log_prob, advantages, *others)
        gradient = self.parameters.grad
        gradient.zero_()
        (loss * len(gradient)).backward()  # the loss is a mean over students, too
        with torch.no_grad():
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True) + EPSILON
            gradient *= torch.clamp(self.pattern.max_gradient_norm / norm, max=1.0)
            self._adam(gradient)

    def _adam(self, gradient: torch.Tensor) -> None:
        group = self.pattern.optimizer.param_groups[0]
        (first, second), (mean, square) = group["betas"], self.moments.values()
        self.steps += 1
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        size = (self.rates / (1 - first**self.steps)).float()
        root = (1 - second**self.steps).sqrt().float()
        self.parameters -= size * mean / (square.sqrt() / root + group["eps"])
