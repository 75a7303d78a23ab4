"""Images: mixing in a DataLoader, with label maps that follow."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate

from mixmodal.core.draws import Draws, without_saliency


@dataclass(frozen=True)
class MixCollate:
    """A `collate_fn` that mixes each batch of (image, label) samples; picklable, so that workers can run it.

    It draws from torch's global generator, which a DataLoader seeds anew for every worker and epoch: draws differ
    between workers and epochs, and `torch.manual_seed` before the loop makes them repeatable.

    Args:
        mixer: what draws; in a worker an `Alternate` begins at a turn that is drawn, and keeps it there, see there.
        num_classes: number of classes where labels are class numbers.
        label_axes: axes pattern of dense labels, such as "b *" for label maps (B, H, W): they are mixed by the draw
            of the images, location by location. Labels are one per image if None.
        collate: makes a batch (x, y) of the samples.

    >>> import torch, mixmodal as mm
    >>> samples = [(torch.rand(3, 8, 8), 0), (torch.rand(3, 8, 8), 2)]
    >>> x, y = MixCollate(mm.FMix(), num_classes=3)(samples)
    >>> x.shape, y.shape
    (torch.Size([2, 3, 8, 8]), torch.Size([2, 3]))
    """

    mixer: Draws
    _: KW_ONLY
    num_classes: int | None = None
    label_axes: str | None = None
    collate: Callable[[list[Any]], Any] = default_collate

    def __post_init__(self) -> None:
        without_saliency(self.mixer, "a DataLoader")
        if self.num_classes is not None and self.label_axes is not None:
            raise ValueError(
                f"num_classes={self.num_classes} is for one label per image, label_axes={self.label_axes!r} for label "
                f"maps; give one of them"
            )

    def __call__(self, samples: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Collate and mix.

        Args:
            samples: (image, label) pairs.

        Returns:
            The mixed images (B, C, H, W), and soft targets (B, ...) or mixed label maps.

        Raises:
            ValueError: samples that are not pairs; class numbers without `num_classes`.
            TypeError: integer label maps and a mixer with soft masks.
        """
        batch = self.collate(list(samples))
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise ValueError(
                f"samples must be (image, label) pairs, and collating them gave {type(batch).__name__}; give collate= "
                f"for other samples"
            )
        x, y = batch
        x, mix = self.mixer(x)
        return x, mix.targets(y, num_classes=self.num_classes) if self.label_axes is None else mix(
            y, axes=self.label_axes
        )
