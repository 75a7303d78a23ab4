"""CIFAR-10 with a mixer in one file: data, network, mixing, loop and score, with nothing imported from the recipes.

    python -m recipes.examples.cifar10 DIR

trains the PreAct-ResNet18 of the FMix paper, at a quarter of its width, on the binary version of CIFAR-10 unpacked to
DIR/cifar-10-batches-bin (https://www.cs.toronto.edu/~kriz/cifar.html). For another method set another MIXER below. With
--width 64 --epochs 200 it is the experiment of Harris et al. 2020, Table II (94.63 % without mixing, 96.14 with FMix).
`python -m recipes.images --data cifar10 --data-root DIR` is the same training with every method, other data, runs that
can be resumed, and reports; a test compares the two, part by part and by their scores.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mixmodal as mm

MIXER: mm.Draws = mm.FMix(alpha=1.0, decay_power=3.0)
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
MILESTONES = 0.5, 0.75
"""Shares of the training after which the learning rate drops to a tenth."""


def load(root: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images (50,000, 3, 32, 32) uint8 and their classes, then the 10,000 test images and theirs."""

    def read(*names: str) -> tuple[Tensor, Tensor]:
        raw = b"".join((root / "cifar-10-batches-bin" / name).read_bytes() for name in names)
        records = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, 1 + 3 * 32 * 32)
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long()

    return *read(*(f"data_batch_{number}.bin" for number in range(1, 6))), *read("test_batch.bin")


def normalised(x: Tensor) -> Tensor:
    """Bytes to floats of zero mean and unit deviation in each channel."""
    mean, std = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (MEAN, STD))
    return (x.float() / 255 - mean) / std


def augmented(x: Tensor) -> Tensor:
    """Each image padded by 4 black pixels, cropped back at its own random place, and mirrored half of the time."""
    batch, size, device = len(x), x.shape[-1], x.device
    top, left = torch.randint(9, (2, batch, 1), device=device)
    rows, columns = top + torch.arange(size, device=device), left + torch.arange(size, device=device)
    columns = torch.where(torch.rand(batch, 1, device=device) < 0.5, columns.flip(1), columns)
    sample = torch.arange(batch, device=device).view(-1, 1, 1, 1)
    channel = torch.arange(3, device=device).view(1, -1, 1, 1)
    return F.pad(x, (4,) * 4)[sample, channel, rows.view(batch, 1, size, 1), columns.view(batch, 1, 1, size)]


class Block(nn.Module):
    """A pre-activation block; its shortcut is taken after the first activation, as in the FMix paper's code."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.projection: nn.Module = (
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if changes else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        x = F.relu(self.bn1(x))
        residual: Tensor = self.conv2(F.relu(self.bn2(self.conv1(x))))
        own: Tensor = self.projection(x)
        return residual + own


class PreActResNet18(nn.Module):
    """A stem, four stages of two blocks, the mean over the remaining pixels, and a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.layer1 = nn.Sequential(Block(width, width, 1), Block(width, width, 1))
        self.layer2 = nn.Sequential(Block(width, 2 * width, 2), Block(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(Block(2 * width, 4 * width, 2), Block(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(Block(4 * width, 8 * width, 2), Block(8 * width, 8 * width, 1))
        self.head = nn.Linear(8 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, 32, 32) to logits (B, 10)."""
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def rate(progress: float, first: float = 0.1) -> float:
    """Learning rate after a share of the training."""
    return first * 0.1 ** sum(progress >= milestone for milestone in MILESTONES)


def batches(x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All samples in a random order."""
    for chosen in torch.split(torch.randperm(len(x)), size):
        yield x[chosen], y[chosen]


def fit(
    model: nn.Module, mixer: mm.Draws, x: Tensor, y: Tensor, *, epochs: int, batch_size: int, say: Callable[[str], None]
) -> None:
    """Train a model on mixed batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate(0), momentum=0.9, weight_decay=1e-4)
    model.train()
    device, steps = next(model.parameters()).device, math.ceil(len(x) / batch_size)
    for epoch in range(epochs):
        total = 0.0
        for step, (images, labels) in enumerate(batches(x, y, batch_size)):
            optimizer.param_groups[0]["lr"] = rate((epoch + step / steps) / epochs)
            images, labels = images.to(device), labels.to(device)
            mixed, mix = mixer(normalised(augmented(images)))  # the two lines
            loss = mix.loss(model(mixed), labels)  # that mixing takes
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(labels)
        say(f"epoch {epoch + 1} of {epochs}: loss {total / len(x):.4f}")


@torch.no_grad()
def score(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Accuracy in percent, on unaltered images."""
    model.eval()
    device = next(model.parameters()).device
    classes = [model(normalised(part.to(device))).argmax(1).cpu() for part in torch.split(x, 500)]
    return 100 * (torch.cat(classes) == y).double().mean().item()


def main(arguments: list[str] | None = None) -> float:
    """The command line; returns the test accuracy of the last epoch."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0], prog="python -m recipes.examples.cifar10"
    )
    parser.add_argument("root", type=Path, help="folder that holds cifar-10-batches-bin")
    for name, default in {"images": 50_000, "width": 16, "epochs": 20, "batch-size": 128, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{default} by default")
    given = parser.parse_args(arguments)
    if not (given.root / "cifar-10-batches-bin").is_dir():
        parser.error(f"{given.root} has no folder cifar-10-batches-bin: unpack the binary version of CIFAR-10 there")
    if min(given.images, given.width, given.epochs, given.batch_size) < 1:
        parser.error(f"{given}: images, width, epochs and batch-size must be 1 or more")
    torch.manual_seed(given.seed)
    x, y, test_x, test_y = load(given.root)
    model = PreActResNet18(given.width).to("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.randperm(len(x))[: given.images]
    fit(model, MIXER, x[chosen], y[chosen], epochs=given.epochs, batch_size=given.batch_size, say=print)
    accuracy = score(model, test_x, test_y)
    print(f"{MIXER}: {accuracy:.2f} % of the test images")
    return accuracy


if __name__ == "__main__":
    main()
