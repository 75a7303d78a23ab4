"""The share of a training step that mixing takes: a draw, a blend, and what `mix.loss` costs beyond the loss alone."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mixmodal import Draws
from recipes.measuring.benchmark.cases import CLASSES, DRAWS, Bench, Part, mixer_of
from recipes.measuring.benchmark.figures import Figures, Key, section, table
from recipes.measuring.benchmark.recorded import Shape
from recipes.models.images.preact_resnet import PreActResNet, preact_resnet
from recipes.models.points import VoxNet
from recipes.models.text.bert import BertEncoder
from recipes.training.methods import AT_INPUT

NAME = "steps"


@dataclass(frozen=True)
class Network:
    """A network and the batch that it is trained on.

    Args:
        make: the network, or a small one of its kind.
        sample: shape of a sample as it is mixed.
        batch: samples in a batch on a CPU and on CUDA.
        padded: whether it takes marks of what is real, and learns the inputs too: embeddings of words.
    """

    make: Callable[[bool], nn.Module]
    sample: Shape
    batch: tuple[int, int]
    padded: bool = False

    @property
    def axes(self) -> str:
        """The axes pattern of a batch."""
        return "b * d" if self.padded else "b c *"

    @property
    def side(self) -> int:
        """Cells of a sample along the last axis of its grid."""
        return self.sample[0 if self.padded else -1]


def resnet(small: bool) -> nn.Module:
    """PreAct-ResNet18 of width 64."""
    return PreActResNet((1, 1, 1, 1), width=8) if small else preact_resnet(18, width=64)


def vit(small: bool) -> nn.Module:
    """ViT-S of patches of 16, from timm."""
    import timm

    sizes: dict[str, Any] = {"depth": 1} if small else {}
    net: nn.Module = timm.create_model("vit_small_patch16_224", num_classes=CLASSES, **sizes)
    return net


def bert(small: bool) -> nn.Module:
    """BERT-base, with random weights."""
    from transformers import BertConfig, BertModel

    sizes: dict[str, Any] = {"num_hidden_layers": 1, "vocab_size": 100} if small else {}
    body: Any = BertModel(BertConfig(**sizes), add_pooling_layer=False)
    return BertEncoder(body, CLASSES)


def voxnet(small: bool) -> nn.Module:
    """VoxNet, of 3-D convolutions."""
    return VoxNet(width=4 if small else 32)


NETWORKS = {
    "PreAct-ResNet18": Network(resnet, (3, 32, 32), (64, 128)),
    "ViT-S": Network(vit, (3, 224, 224), (8, 128)),
    "BERT-base": Network(bert, (128, 768), (8, 64), padded=True),
    "VoxNet": Network(voxnet, (1, 32, 32, 32), (32, 128)),
}


class Training:
    """A network in training on one batch.

    Args:
        network: which.
        bench: where.
    """

    def __init__(self, network: Network, bench: Bench) -> None:
        self.network, self.bench = network, bench
        count = 2 if bench.small else network.batch[bench.clock.on_cuda]
        self.net = network.make(bench.small).to(bench.device).train()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-4, momentum=0.9)
        self.x = bench.rand(count, *network.sample).requires_grad_(network.padded)
        self.y = bench.labels(count)
        self.gradient = torch.ones_like(self.x)
        self.preds = bench.rand(count, CLASSES).requires_grad_()
        length = torch.randint(network.sample[0] // 2, network.sample[0] + 1, (count, 1), device=bench.device)
        self.valid = torch.arange(network.sample[0], device=bench.device) < length if network.padded else None

    def step(self) -> None:
        """A whole step without mixing: forward, loss, backward, update."""
        self.optimizer.zero_grad()
        with self._precision():
            preds = self.net(self.x) if self.valid is None else self.net(self.x, self.valid)
            loss = F.cross_entropy(preds, self.y)
        torch.autograd.backward(loss)
        self.optimizer.step()

    def plain(self) -> None:
        """The loss of one side, and its gradient."""
        torch.autograd.grad(F.cross_entropy(self.preds, self.y), self.preds)

    def mixing(self, mixer: Draws) -> None:
        """A draw, a blend, with its gradient where inputs have one, and the loss of both sides with its gradient."""
        mixed, mix = mixer(self.x, valid=self.valid)
        if mixed.requires_grad:
            torch.autograd.grad(mixed, self.x, self.gradient)
        torch.autograd.grad(mix.loss(self.preds, self.y), self.preds)

    def _precision(self) -> AbstractContextManager[object]:
        """Bfloat16 where steps are shortest with it, on CUDA."""
        on_cuda = self.bench.clock.on_cuda
        return torch.autocast("cuda", dtype=torch.bfloat16) if on_cuda else nullcontext()


def measure(bench: Bench, figures: Figures) -> None:
    """Milliseconds of a step and of mixing, and the share of the latter in percent, by network and method."""
    for name, network in NETWORKS.items():
        training = Training(network, bench)
        case = f"{name} | {tuple(training.x.shape)}"
        step = bench.clock.milliseconds(training.step)
        figures.add(Key(NAME, case, "", "", "step"), step)
        plain = bench.clock.milliseconds(training.plain)
        for method in bench.some(list(AT_INPUT)):
            for draws in DRAWS:
                mixer = mixer_of(method, network.axes, network.side, draws)
                more = bench.clock.milliseconds(partial(training.mixing, mixer)) - plain
                figures.add(Key(NAME, case, method, draws, "mixing"), more)
                figures.add(Key(NAME, case, method, draws, "share"), 100 * more / (step + more))


def shares(figures: Figures) -> dict[str, float | None]:
    """The shares of all steps in percent, by what they are of."""
    return {
        f"{case.partition(' | ')[0]}, {method}, a draw for each {draws}": figures.get(
            NAME, case, method, draws, "share"
        )
        for case, method, draws in figures.rows(NAME)
        if method
    }


def sections(figures: Figures) -> list[str]:
    """The one table."""
    rows = []
    for case, method, draws in figures.rows(NAME):
        if method and draws == DRAWS[0]:
            step = figures.get(NAME, case, "", "", "step")
            mixing, shares = (
                [figures.get(NAME, case, method, each, what) for each in DRAWS] for what in ("mixing", "share")
            )
            rows.append((f"{case} | {method}", [step, *mixing, *shares]))
    columns = (
        "network | inputs | method | step (ms) | mixing, a draw a batch (ms) | a draw a sample (ms) "
        "| share, a draw a batch (%) | share, a draw a sample (%)"
    )
    text = (
        "A step is forward, loss, backward and SGD with momentum, on CUDA in bfloat16 by autocast. Mixing is a draw, a "
        "blend, and the loss of both sides with its gradient less that of the plain loss; for BERT's embeddings the "
        "gradient of the blend too. Its share is of the step with mixing. Batches are small on a CPU, which makes the "
        "fixed cost of a call count for more."
    )
    return section("In a training step", text, table(columns, rows))


PART = Part(measure, sections, once=True)
