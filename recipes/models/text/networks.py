"""The text classifiers of the FMix paper: a convolutional and a bidirectional recurrent network over embeddings.

Both map embeddings (B, T, D) and the marks of real tokens (B, T) to logits (B, C). Their parts take the marks as an
argument ``attention_mask`` of their own, so that ``HiddenMix(..., valid="attention_mask")`` can mix before any of them.

Source: Harris et al. 2020 (FMix), from their published code.

Deviation: padding is ignored, so that the logits of a text do not depend on the batch it is in. The authors' networks
read padding as tokens of zeros, and so does ``padding="published"``.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recipes.models.arguments import check_positive

Padding = Literal["ignored", "published"]


def check_choice(name: str, value: str, choices: object) -> None:
    """Raise a ``ValueError`` unless ``value`` is one of the ``choices``, a ``Literal``."""
    if value not in get_args(choices):
        raise ValueError(f"{name}={value!r} is unknown: choose {' or '.join(map(repr, get_args(choices)))}")


def check_batch(embeddings: Tensor, attention_mask: Tensor, width: int) -> None:
    """Raise a ``ValueError`` unless embeddings are (B, T, width), with tokens, and the marks (B, T)."""
    if embeddings.ndim != 3 or embeddings.shape[2] != width or embeddings.shape[1] == 0:
        raise ValueError(
            f"embeddings has shape {tuple(embeddings.shape)} and must be (B, T, {width}) with T of at least 1"
        )
    if attention_mask.shape != embeddings.shape[:2]:
        raise ValueError(
            f"attention_mask has shape {tuple(attention_mask.shape)} and must mark each token of the embeddings, "
            f"{tuple(embeddings.shape[:2])}"
        )


def zeroed(x: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Return ``x`` (B, T, D) with zeros where the marks (B, T) are 0; unchanged without marks.

    >>> zeroed(torch.ones(1, 3, 1), torch.tensor([[1, 0, 1]])).flatten()
    tensor([1., 0., 1.])
    """
    return x if attention_mask is None else x.masked_fill(~attention_mask.bool()[..., None], 0)


def last_real(attention_mask: Tensor) -> Tensor:
    """Return the last real position of each row of (B, T), int64 (B,); 0 where there is none.

    >>> last_real(torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]]))
    tensor([2, 0])
    """
    return (torch.arange(attention_mask.shape[1], device=attention_mask.device) * attention_mask.bool()).amax(1)


class Convolution(nn.Module):
    """A convolution over 3 tokens with ReLU, and zeros at padding."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, inputs) to (B, T, outputs); without marks padding takes part."""
        return zeroed(F.relu(self.conv(x.mT)).mT, attention_mask)


class BiLSTM(nn.Module):
    """A bidirectional LSTM layer from zero states, and zeros at padding.

    It ends each text at its last real token, or after one token where none is real; the lengths are read on the host.
    Padding before that is a step of the recurrence.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, width, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, inputs) to (B, T, 2 * width); without marks padding takes part."""
        if attention_mask is None:
            states: Tensor = self.lstm(x)[0]
            return states
        lengths = (last_real(attention_mask) + 1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return zeroed(states, attention_mask)


class Pool(nn.Module):
    """The mean over the tokens, their maximum, and the last of them, side by side; zeros where no token is real."""

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, 3 * D); without marks padding takes part."""
        if attention_mask is None:
            return torch.cat([x.mean(1), x.amax(1), x[:, -1]], dim=1)
        x, real = zeroed(x, attention_mask), attention_mask.bool()
        mean = x.sum(1) / real.sum(1, keepdim=True).clamp(min=1)
        counted = real | ~real.any(1, keepdim=True)  # where nothing is real all is zero, and so is its maximum
        highest = x.masked_fill(~counted[..., None], torch.finfo(x.dtype).min).amax(1)
        last = x[torch.arange(len(x), device=x.device), last_real(real)]
        return torch.cat([mean, highest, last], dim=1)


class TextCNN(nn.Module):
    """Three convolutions over 3 tokens each, ``layer1`` to ``layer3``, then ``pool`` and ``head``.

    Args:
        width_in: width D of the embeddings.
        classes: number of outputs.
        width: channels of each convolution and units of the head.
        padding: ``"ignored"`` sets padding to zero before and after each convolution and pools over real tokens;
            ``"published"`` reads padding like any token, as the authors' code does.

    Raises:
        ValueError: a size is below 1, or ``padding`` is unknown.

    >>> TextCNN(50, 6)(torch.rand(2, 7, 50), torch.ones(2, 7)).shape
    torch.Size([2, 6])
    """

    def __init__(self, width_in: int, classes: int, *, width: int = 128, padding: Padding = "ignored") -> None:
        super().__init__()
        check_positive(width_in=width_in, classes=classes, width=width)
        check_choice("padding", padding, Padding)
        self.width_in, self.padding = width_in, padding
        self.layer1 = Convolution(width_in, width)
        self.layer2 = Convolution(width, width)
        self.layer3 = Convolution(width, width)
        self.pool = Pool()
        self.head = _head(3 * width, width, classes)

    def forward(self, embeddings: Tensor, attention_mask: Tensor) -> Tensor:
        """Map embeddings (B, T, width_in) and marks (B, T), 1 or True where real, to logits (B, classes).

        Raises:
            ValueError: another shape.
        """
        check_batch(embeddings, attention_mask, self.width_in)
        marks = attention_mask if self.padding == "ignored" else None
        x = zeroed(embeddings, marks)
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x, marks)
        logits: Tensor = self.head(self.pool(x, marks))
        return logits


class TextBiLSTM(nn.Module):
    """Two bidirectional LSTM layers, ``layer1`` and ``layer2``, then ``pool`` and ``head``.

    Args:
        width_in: width D of the embeddings.
        classes: number of outputs.
        width: units of a layer in each direction; the head has twice as many.
        padding: ``"ignored"`` ends each text at its last real token (see ``BiLSTM``), sets padding before that, as a
            mix may leave it, to zero, and pools over real tokens; ``"published"`` reads padding like any token, as the
            authors' code does.

    Raises:
        ValueError: a size is below 1, or ``padding`` is unknown.

    >>> TextBiLSTM(50, 6)(torch.rand(2, 7, 50), torch.ones(2, 7)).shape
    torch.Size([2, 6])
    """

    def __init__(self, width_in: int, classes: int, *, width: int = 128, padding: Padding = "ignored") -> None:
        super().__init__()
        check_positive(width_in=width_in, classes=classes, width=width)
        check_choice("padding", padding, Padding)
        self.width_in, self.padding = width_in, padding
        self.layer1 = BiLSTM(width_in, width)
        self.layer2 = BiLSTM(2 * width, width)
        self.pool = Pool()
        self.head = _head(6 * width, 2 * width, classes)

    def forward(self, embeddings: Tensor, attention_mask: Tensor) -> Tensor:
        """Map embeddings (B, T, width_in) and marks (B, T), 1 or True where real, to logits (B, classes).

        Raises:
            ValueError: another shape.
        """
        check_batch(embeddings, attention_mask, self.width_in)
        marks = attention_mask if self.padding == "ignored" else None
        x = self.layer2(self.layer1(zeroed(embeddings, marks), marks), marks)
        logits: Tensor = self.head(self.pool(x, marks))
        return logits


def _head(inputs: int, width: int, classes: int) -> nn.Sequential:
    """Return two layers of ``width`` units with ReLU, then one of ``classes``."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes)
    )
