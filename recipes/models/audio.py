"""A network for waveforms."""

from torch import Tensor, nn


class Listener(nn.Module):
    """Turns waveforms into spectrograms and passes them to a network.

    Args:
        front: maps waveforms (B, 1, T) to spectrograms (B, 1, mels, frames).
        net: maps those to logits (B, C).
    """

    def __init__(self, front: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.front = front
        self.net = net

    def forward(self, wave: Tensor) -> Tensor:
        """Map waveforms (B, 1, T) to logits (B, C)."""
        logits: Tensor = self.net(self.front(wave))
        return logits
