"""The Hugging Face Trainer, for batches that are mixed by the network."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, get_last_checkpoint

from mixmodal.core.checks import shown
from mixmodal.core.draws import Asked, Draws
from mixmodal.core.records.losses import Criterion
from mixmodal.core.records.mix import Mix
from mixmodal.hidden.hiddenmix import HiddenMix
from mixmodal.hidden.replay import random_state, restore
from mixmodal.modalities.text.tokens import TokenMix
from mixmodal.modalities.text.trainer import trainer_loss


class MixTrainer(Trainer):  # type: ignore[misc]
    """A `transformers.Trainer` for a mixed model: it computes the loss from the record of each forward.

    `HiddenMix` or `TokenMix` mixes in every training forward, at the input or inside the model, and in no other.

    - The loss is that of `mm.trainer_loss`: exact under gradient accumulation and with several processes. By default it
      is the loss that the model has without mixing; `label_smoothing_factor` is honoured for class numbers.
    - With several processes, each draws separately, although all have the seed of the `TrainingArguments`.
    - `resume_from_checkpoint` continues the turns of an `Alternate`, which the checkpoint holds for each process.

    To mix in another Hugging Face Trainer, inherit from both: `class Mine(MixTrainer, Seq2SeqTrainer): ...`

    Args:
        args: positional arguments of `Trainer`.
        mixing: what mixes the model.
        criterion: see `mm.trainer_loss`.
        axes: see `mm.trainer_loss`.
        kwargs: keyword arguments of `Trainer`, except `compute_loss_func` and `model_init`.

    Raises:
        TypeError: `mixing` is of another type.
        ValueError: `compute_loss_func` or `model_init` is given; `mixing` mixes another model; processes share a batch;
            see also `mm.trainer_loss`.

    >>> import tempfile, mixmodal as mm
    >>> from transformers import TrainingArguments, ViTConfig, ViTForImageClassification
    >>> small = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    >>> model = ViTForImageClassification(small)
    >>> mixing = mm.HiddenMix(model, {(model, "pixel_values"): mm.CutMix()})
    >>> trainer = MixTrainer(model, TrainingArguments(tempfile.mkdtemp()), mixing=mixing)
    """

    def __init__(
        self,
        *args: Any,
        mixing: HiddenMix | TokenMix,
        criterion: Criterion | None = None,
        axes: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.mixing = mixing
        self._check()
        self.compute_loss_func = trainer_loss(mixing, self.args, criterion=criterion, axes=axes)
        self.add_callback(_Turns(mixing))

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        """`Trainer.train`; it continues with the turns saved in the checkpoint."""
        folder: Any = resume_from_checkpoint
        if folder is True:
            folder = get_last_checkpoint(self.args.output_dir)  # type: ignore[no-untyped-call]
        if folder:
            _load(self.mixing, _file(folder, self.args.process_index))
        hidden = self.mixing.hidden if isinstance(self.mixing, TokenMix) else self.mixing
        with _apart(hidden, self.args.process_index) if self.args.world_size > 1 else nullcontext():
            return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    def _check(self) -> None:
        """Raise ValueError if a batch would be mixed wrongly, or have another loss."""
        if not isinstance(self.mixing, HiddenMix | TokenMix):
            raise TypeError(
                f"mixing={shown(self.mixing)} must be the HiddenMix or TokenMix that mixes the model, as in "
                f"mm.HiddenMix(model, {{(model, 'pixel_values'): mm.FMix()}})"
            )
        if self.compute_loss_func is not None:
            raise ValueError("compute_loss_func is given, but a MixTrainer has its own; pass criterion=")
        if self.model_init is not None:
            raise ValueError("model_init makes models that mixing does not mix; pass model=, the one that it mixes")
        mixed = self.mixing.hidden.model if isinstance(self.mixing, TokenMix) else self.mixing.model
        if mixed not in set(self.model.modules()):
            raise ValueError(
                f"mixing mixes another {type(mixed).__name__} than the model, which would be trained unmixed; give "
                f"both the same object"
            )
        together = self.get_tp_size() * self.get_cp_size() * self.get_sp_size()
        if together > 1:
            raise ValueError(
                f"{together} processes share each batch, and each would mix its part by a draw of its own; use data "
                f"parallelism"
            )


@dataclass(frozen=True)
class Apart(Draws):
    """A mixer in one of several processes whose global generators are all in the same state.

    Each draw takes one number from the CPU's global generator, and is determined by it and the process. So draws are
    repeated if the generator's state is restored, and the generators of all processes stay in step.

    Args:
        mixer: the mixer.
        rank: number of the process.

    >>> import mixmodal as mm
    >>> shares = []
    >>> for rank in range(2):
    ...     _ = torch.manual_seed(0)
    ...     shares.append(Apart(mm.MixUp(), rank).draw(torch.rand(2, 3)).lam[0].item())
    >>> shares[0] == shares[1]
    False
    """

    mixer: Draws
    rank: int

    @property
    def partner(self) -> bool:
        return self.mixer.partner

    def record(self, x: Tensor, asked: Asked) -> Mix:
        seed = int(torch.randint(2**32, (), device="cpu")) + self.rank * 0x9E3779B9  # odd, so that all differ
        before = random_state(x.device)
        devices = [torch.device("cpu"), x.device][: len(before)]
        restore([torch.Generator(device).manual_seed(seed % 2**32).get_state() for device in devices], x.device)
        try:
            return self.mixer.record(x, asked)
        finally:
            restore(before, x.device)

    def state_dict(self) -> dict[str, Any]:
        return self.mixer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.mixer.load_state_dict(state)


@contextmanager
def _apart(hidden: HiddenMix, rank: int) -> Iterator[None]:
    """Make the mixers of a network draw for one of several processes."""
    apart = {site: Apart(mixer, rank) for site, mixer in hidden.at.items()}
    hidden.at.update(apart)
    try:
        yield
    finally:
        hidden.at.update({site: mixer.mixer for site, mixer in apart.items() if hidden.at[site] is mixer})


class _Turns(TrainerCallback):  # type: ignore[misc]
    """Saves the state that the mixers carry from draw to draw, next to the Trainer's random states, per process."""

    def __init__(self, mixing: HiddenMix | TokenMix) -> None:
        self.mixing = mixing

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.mixing.state_dict(), _file(folder, args.process_index))


def _file(folder: str | Path, rank: int) -> Path:
    """The file in a checkpoint that holds the turns of a process."""
    return Path(folder, f"mixing_state_{rank}.pth")


def _load(mixing: HiddenMix | TokenMix, file: Path) -> None:
    """Continue with the turns of a checkpoint."""
    if file.exists():
        try:
            mixing.load_state_dict(torch.load(file, weights_only=True))
        except Exception as error:  # torch documents no types, and raises a dozen for damaged files
            said = " ".join(str(error).split())
            raise ValueError(
                f"{file} is damaged or belongs to other mixers ({type(error).__name__}: {said:.100}): resume from "
                f"another checkpoint, or remove it, so that the mixers' turns start over"
            ) from error
    elif mixing.state_dict():
        warnings.warn(
            f"{file} is missing, so the mixers' turns start over: the checkpoint is not a MixTrainer's, "
            f"or has fewer processes",
            stacklevel=3,
        )
