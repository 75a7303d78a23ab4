"""The Trainer of Hugging Face on mixed models: when it mixes, its loss, evaluation, resumed runs, two processes.

Losses are set against gradients of a model without hooks, whose input is mixed by hand.
"""

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mixmodal as mm
from tests.frameworks.processes import in_two_processes

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from mixmodal.frameworks import trainer as module  # noqa: E402
from mixmodal.frameworks.trainer import Apart, MixTrainer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*pin_memory.*")

CLASSES, ROWS, TOKENS, LAM = 3, 8, 6, 0.7
SMALL: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TEXT: dict[str, Any] = SMALL | {"vocab_size": 30, "max_position_embeddings": 16}
AUDIO: dict[str, Any] = {"num_mel_bins": 8, "max_length": 16, "patch_size": 4, "frequency_stride": 4, "time_stride": 4}


def model_of(kind: str, **settings: Any) -> Any:
    """A tiny network with random weights, those of the same seed each time."""
    torch.manual_seed(5)
    settings = {"num_labels": CLASSES} | settings
    if kind == "images":
        config = transformers.ViTConfig(**SMALL | {"image_size": 8, "patch_size": 4} | settings)
        return transformers.ViTForImageClassification(config)
    if kind == "audio":
        return transformers.ASTForAudioClassification(transformers.ASTConfig(**SMALL | AUDIO | settings))
    config = transformers.BertConfig(**TEXT | settings)
    tokens = kind == "tokens"
    return (transformers.BertForTokenClassification if tokens else transformers.BertForSequenceClassification)(config)


def rows_of(kind: str, labels: Tensor) -> list[dict[str, Any]]:
    torch.manual_seed(3)
    shape = {"images": (3, 8, 8), "audio": (16, 8)}.get(kind, (TOKENS,))
    name = {"images": "pixel_values", "audio": "input_values"}.get(kind, "input_ids")
    x = torch.randint(1, 30, (ROWS, *shape)) if name == "input_ids" else torch.randn(ROWS, *shape)
    rows = [{name: one, "labels": label} for one, label in zip(x, labels, strict=True)]
    return [row | {"attention_mask": torch.ones(TOKENS)} for row in rows] if name == "input_ids" else rows


def mixing_of(kind: str, model: nn.Module, mixer: Callable[[str], mm.Draws]) -> Any:
    """What mixes a model at its input, by a mixer with these axes."""
    if kind == "images":
        return mm.HiddenMix(model, {(model, "pixel_values"): mixer("b c *")})
    if kind == "audio":
        return mm.HiddenMix(model, {(model, "input_values"): mixer("b *")})
    return mm.TokenMix(model, mixer("b * d"))


def labels_of(kind: str) -> Tensor:
    torch.manual_seed(4)
    return {
        "classes": torch.randint(CLASSES, (ROWS,)),
        "several": (torch.rand(ROWS, CLASSES) > 0.5).float(),
        "booleans": torch.rand(ROWS, CLASSES) > 0.5,
        "number": torch.randn(ROWS),
        "numbers": torch.randn(ROWS, CLASSES),
        "tokens": torch.randint(CLASSES, (ROWS, TOKENS)).masked_fill(torch.rand(ROWS, TOKENS) < 0.4, -100),
    }[kind]


def arguments(folder: Path, **settings: Any) -> Any:
    return transformers.TrainingArguments(
        output_dir=str(folder), report_to="none", use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
        **{"save_strategy": "no", "per_device_train_batch_size": 3, "per_device_eval_batch_size": 3} | settings,
    )  # fmt: skip


@dataclass(frozen=True)
class Counted(mm.Draws):
    """Notes whether each of its draws was made for a model in training."""

    mixer: mm.Draws
    model: nn.Module
    seen: list[bool] = field(default_factory=list)
    partner = True  # type: ignore[assignment]

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        self.seen.append(self.model.training)
        return self.mixer.record(x, asked)


@pytest.mark.parametrize("kind", ["images", "audio", "text", "tokens"])
def test_every_training_step_mixes_and_no_evaluation_step_does(kind: str, tmp_path: Path) -> None:
    model, labels = model_of(kind), labels_of("tokens" if kind == "tokens" else "classes")
    made: list[Counted] = []

    def counted(axes: str) -> mm.Draws:
        made.append(Counted(mm.FMix(axes=axes), model))
        return made[0]

    mixing, rows, forwards = mixing_of(kind, model, counted), rows_of(kind, labels), []
    model.register_forward_pre_hook(lambda module, _: forwards.append(module.training))
    settings = arguments(tmp_path, num_train_epochs=2, eval_strategy="epoch", gradient_accumulation_steps=2)
    trainer = MixTrainer(model, settings, mixing=mixing, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    trainer.predict(rows)
    assert forwards.count(True) == 2 * 3  # epochs, batches of 3, 3 and 2 samples
    assert forwards.count(False) == 3 * 3
    assert made[0].seen == [True] * 6


def test_another_trainer_of_hugging_face_is_mixed_by_a_class_of_both(tmp_path: Path) -> None:
    class Both(MixTrainer, transformers.Seq2SeqTrainer):  # type: ignore[misc]
        pass

    model = model_of("text")
    counted = Counted(mm.CutMix(axes="b * d"), model)
    settings = transformers.Seq2SeqTrainingArguments(**arguments(tmp_path, max_steps=2).to_dict())
    rows = rows_of("text", labels_of("classes"))
    with mm.TokenMix(model, counted) as mixing:
        Both(model, settings, mixing=mixing, train_dataset=rows).train()
    assert counted.seen == [True] * 2


# ---------------------------------------------------------------- the loss


@dataclass(frozen=True)
class Next(mm.Draws):
    """Pairs each sample with the next one of its part of a batch, with one share."""

    mixer: mm.Draws
    partner = True  # type: ignore[assignment]

    def record(self, x: Tensor, asked: mm.Asked) -> mm.Mix:
        index = (torch.arange(len(x)) + 1) % len(x)
        return self.mixer.draw(x, valid=asked.valid, index=index, lam=LAM)


@dataclass(frozen=True)
class Front(mm.Mixer):
    """Keeps the first `lam` of the locations."""

    hard = True  # type: ignore[assignment]

    def mask(self, lam: Tensor, shape: Any, generator: torch.Generator | None = None) -> Tensor:
        return ((torch.arange(shape[0]) + 0.5) / shape[0] < lam[:, None]).float()


CROSS_ENTROPY = functools.partial(F.cross_entropy, reduction="sum")
BINARY = functools.partial(F.binary_cross_entropy_with_logits, reduction="sum")
SQUARED = functools.partial(F.mse_loss, reduction="sum")
Each = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], Each, int]] = {
    "images": ("images", "classes", {}, {}, CROSS_ENTROPY, ROWS),
    "images, smoothed": (
        "images",
        "classes",
        {},
        {"label_smoothing_factor": 0.2},
        functools.partial(CROSS_ENTROPY, label_smoothing=0.2),
        ROWS,
    ),
    "images, several labels": ("images", "several", {}, {}, BINARY, ROWS * CLASSES),
    "images, booleans": ("images", "booleans", {}, {}, lambda p, y: BINARY(p, y.float()), ROWS * CLASSES),
    "images, a number": ("images", "number", {"num_labels": 1}, {}, lambda p, y: SQUARED(p[:, 0], y), ROWS),
    "images, numbers": ("images", "numbers", {"problem_type": "regression"}, {}, SQUARED, ROWS * CLASSES),
    "audio": ("audio", "classes", {}, {}, CROSS_ENTROPY, ROWS),
}


def trained(folder: Path, kind: str, model: Any, mixing: Any, labels: Tensor, **settings: Any) -> dict[str, Tensor]:
    """Gradients of one step of the real Trainer, on batches of 3, 3 and 2 samples in their order."""
    start = copy.deepcopy(model.state_dict())
    settings = {"max_steps": 1, "gradient_accumulation_steps": 3, "max_grad_norm": 0.0} | settings
    given = {name: settings.pop(name) for name in ("criterion", "axes") if name in settings}
    step = torch.optim.SGD(model.parameters(), lr=1.0), None
    MixTrainer(
        model, arguments(folder, train_sampling_strategy="sequential", **settings), mixing=mixing, optimizers=step,
        train_dataset=rows_of(kind, labels), **given,
    ).train()  # fmt: skip
    return {name: start[name] - value for name, value in model.state_dict().items() if (start[name] != value).any()}


def check_gradients(model: Any, loss: Tensor, found: dict[str, Tensor]) -> None:
    loss.backward()
    by_hand = {name: each.grad for name, each in model.named_parameters() if each.grad is not None and each.grad.any()}
    assert len(by_hand) > 10
    torch.testing.assert_close({name: found[name] for name in by_hand}, by_hand, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "target", "config", "settings", "each", "number"), LOSSES.values(), ids=LOSSES.keys())
def test_the_loss_is_that_of_one_large_batch(
    tmp_path: Path, kind: str, target: str, config: Any, settings: Any, each: Each, number: int
) -> None:
    model, labels = model_of(kind, **config), labels_of(target)
    plain, rows = copy.deepcopy(model), rows_of(kind, labels)
    with mixing_of(kind, model, lambda axes: Next(mm.MixUp(axes=axes))) as mixing:
        found = trained(tmp_path, kind, model, mixing, labels, **settings)
    x = torch.stack([row["pixel_values" if kind == "images" else "input_values"] for row in rows])
    total = torch.zeros(())
    for part in torch.arange(ROWS).split(3):
        other = part.roll(-1)
        logits = plain(LAM * x[part] + (1 - LAM) * x[other]).logits
        total = total + LAM * each(logits, labels[part]) + (1 - LAM) * each(logits, labels[other])
    check_gradients(plain, total / number, found)


def by_tokens(logits: Tensor, labels: Tensor, own: Tensor) -> Tensor:
    """Sum over tokens of the loss of the label of the side that each comes from."""
    total = torch.zeros(())
    for sample, row in enumerate(labels):
        for token, label in enumerate(row):
            if own[token] and label != -100:
                total = total - logits[sample, token].log_softmax(0)[label]
    return total


@pytest.mark.parametrize("given", [False, True], ids=["the model's", "one that is given"])
def test_labels_of_tokens_are_weighed_by_their_own_masks(tmp_path: Path, given: bool) -> None:
    model, labels = model_of("tokens"), labels_of("tokens")
    plain, ids = copy.deepcopy(model), torch.stack([row["input_ids"] for row in rows_of("tokens", labels)])
    settings: dict[str, Any] = {}
    if given:
        settings["criterion"] = lambda p, y, reduction="mean": F.cross_entropy(p.mT, y, reduction=reduction)
        settings["axes"] = "b *"
    with mixing_of("tokens", model, lambda axes: Next(Front(axes=axes))) as mixing:
        found = trained(tmp_path, "tokens", model, mixing, labels, **settings)
    own = (torch.arange(TOKENS) + 0.5) / TOKENS < LAM
    assert own.tolist() == [True] * 4 + [False] * 2
    total = torch.zeros(())
    for part in torch.arange(ROWS).split(3):
        other = part.roll(-1)
        words = torch.where(own, ids[part], ids[other])
        logits = plain(input_ids=words, attention_mask=torch.ones_like(words)).logits
        total = total + by_tokens(logits, labels[part], own) + by_tokens(logits, labels[other], ~own)
    check_gradients(plain, total / (labels != -100).sum(), found)


EVALUATED: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "images": ("images", "classes", {}, {}),
    "images, smoothed": ("images", "classes", {}, {"label_smoothing_factor": 0.2}),
    "images, several labels": ("images", "several", {}, {}),
    "images, a number": ("images", "number", {"num_labels": 1}, {}),
    "images, numbers": ("images", "numbers", {"problem_type": "regression"}, {}),
    "audio": ("audio", "classes", {}, {}),
    "text": ("text", "classes", {}, {}),
    "tokens": ("tokens", "tokens", {}, {}),
    "tokens, smoothed": ("tokens", "tokens", {}, {"label_smoothing_factor": 0.2}),
}


@pytest.mark.parametrize(("kind", "target", "config", "settings"), EVALUATED.values(), ids=EVALUATED.keys())
def test_evaluation_is_that_of_the_plain_model(
    tmp_path: Path, kind: str, target: str, config: Any, settings: Any
) -> None:
    """The loss of a plain Trainer, which the model computes itself, and metrics of its predictions."""
    model, rows = model_of(kind, **config), rows_of(kind, labels_of(target))
    asked = {
        "args": arguments(tmp_path, per_device_eval_batch_size=ROWS, **settings),
        "eval_dataset": rows,
        "compute_metrics": lambda found: (
            {"mean": found[0].mean(), "right": (found[0].argmax(-1) == found[1]).mean()}
            if found[1].dtype == int
            else {"mean": found[0].mean()}
        ),
    }
    expected = transformers.Trainer(model, **asked).evaluate()
    with mixing_of(kind, model, lambda axes: mm.FMix(axes=axes)) as mixing:
        found = MixTrainer(model, mixing=mixing, **asked).evaluate()
    for name in ("eval_mean", "eval_right"):
        assert found.get(name) == expected.get(name)
    assert found["eval_loss"] == pytest.approx(expected["eval_loss"], rel=1e-6)
    assert expected["eval_loss"] > 0.1


# ---------------------------------------------------------------- a run that goes on


def run(folder: Path, checkpoint: Any = None, *, kind: str = "text", moved: int = 0) -> dict[str, Tensor]:
    """Weights after two epochs of four steps with dropout, of a model made anew."""
    model = model_of(kind, hidden_dropout_prob=0.2)
    if (
        checkpoint is not None and kind == "images"
    ):  # whose weights transformers 5.23 saves by names that its Trainer does not load
        model = type(model).from_pretrained(checkpoint)
    elif checkpoint is not None:
        nn.init.normal_(model.classifier.weight)
    hybrids: list[mm.Alternate] = []

    def hybrid(axes: str) -> mm.Draws:
        hybrids.append(mm.Alternate([mm.FMix(axes=axes), mm.MixUp(axes=axes), mm.CutMix(axes=axes)]))
        return hybrids[0]

    with mixing_of(kind, model, hybrid) as mixing:
        settings = arguments(
            folder, num_train_epochs=2, per_device_train_batch_size=2, learning_rate=0.01, save_strategy="steps",
            save_steps=1,
        )  # fmt: skip
        trainer = MixTrainer(model, settings, mixing=mixing, train_dataset=rows_of(kind, labels_of("classes")))
        torch.rand(moved)  # whatever the generators are at
        trainer.train(resume_from_checkpoint=checkpoint)
    assert hybrids[0].turn == 8 % 3
    return model.state_dict()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "step"),
    [("text", 2), ("text", 4), ("images", 2)],
    ids=["within an epoch", "between epochs", "a model whose weights are loaded before"],
)
def test_a_resumed_run_is_the_uninterrupted_one(kind: str, step: int, tmp_path: Path) -> None:
    expected = run(tmp_path, kind=kind)
    found = run(tmp_path / "again", str(tmp_path / f"checkpoint-{step}"), kind=kind, moved=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_last_checkpoint_of_a_folder_is_found(tmp_path: Path) -> None:
    expected = run(tmp_path)
    for step in range(3, 9):
        (tmp_path / f"checkpoint-{step}").rename(tmp_path / f"later-{step}")
    torch.testing.assert_close(run(tmp_path, True, moved=1), expected, rtol=0, atol=0)


def test_a_checkpoint_without_turns_is_said_to_be_one(tmp_path: Path) -> None:
    model = model_of("text")
    with mm.TokenMix(model, mm.Alternate([mm.FMix(axes="b * d"), mm.MixUp(axes="b * d")])) as mixing:
        rows = rows_of("text", labels_of("classes"))
        settings = arguments(tmp_path, max_steps=1, save_strategy="steps", save_steps=1)
        trainer = MixTrainer(model, settings, mixing=mixing, train_dataset=rows)
        trainer.train()
        (tmp_path / "checkpoint-1" / "mixing_state_0.pth").unlink()
        with pytest.warns(UserWarning, match=r"mixing_state_0\.pth is missing, so the mixers' turns start over"):
            trainer.train(resume_from_checkpoint=True)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\3\4", {"bert": {"turn": 7}}, {"": {"turn": 0}}, {}, [0]],
    ids=["empty", "cut off", "turn", "site", "none", "list"],
)
def test_damaged_turns_are_named(content: Any, tmp_path: Path) -> None:
    model = model_of("text")
    with mm.TokenMix(model, mm.Alternate([mm.FMix(axes="b * d"), mm.MixUp(axes="b * d")])) as mixing:
        before, path = mixing.state_dict(), tmp_path / "mixing_state_0.pth"
        if content == {"bert": {"turn": 7}}:
            content = {site: {"turn": 7} for site in before}
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(
            ValueError, match=r"mixing_state_0\.pth is damaged or belongs to other mixers .*: resume from"
        ) as caught:
            module._load(mixing, path)
        assert "\n" not in str(caught.value)
        assert mixing.state_dict() == before


# ---------------------------------------------------------------- several processes


@pytest.mark.parametrize(
    "mixer", [mm.FMix(), mm.OneOf([mm.MixUp(), mm.CutMix()]), mm.PatchUp(block_size=3), mm.Cutout(size=3)]
)
def test_processes_draw_apart_from_generators_that_stay_alike(mixer: mm.Draws) -> None:
    x, drawn, after = torch.rand(8, 3, 8, 8), [], []
    for rank in (0, 1, 0):
        torch.manual_seed(7)
        drawn.append(Apart(mixer, rank)(x)[0])
        after.append(torch.get_rng_state())
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(after[0], after[1])
    assert torch.initial_seed() == 7  # from which samplers follow
    assert not torch.equal(Apart(mixer, 0)(x)[0], drawn[0])


def ignored() -> Tensor:
    """Labels of which each process and each part counts another number."""
    return labels_of("classes").masked_fill(torch.tensor([0, 1, 0, 0, 0, 0, 1, 1]).bool(), -100)


def one_step(rank: int, folder: Path) -> None:
    """A step on all samples, in two parts in each of two processes."""
    model = model_of("images")
    mixing = mm.HiddenMix(model, {(model, "pixel_values"): mm.OneOf([mm.FMix(), mm.CutMix()])})
    rows, batches, mixes, draws = rows_of("images", ignored()), [], [], mixing.at.copy()
    for number, row in enumerate(rows):
        row["pixel_values"][0, 0, 0] = number  # tells which sample it is

    def note(_module: nn.Module, _args: Any, kwargs: Any) -> None:
        batches.append(kwargs["pixel_values"][:, 0, 0, 0].long())

    handle = model.register_forward_pre_hook(note, with_kwargs=True, prepend=True)
    model.register_forward_hook(lambda *_: mixes.append(mixing.mix))
    start = copy.deepcopy(model.state_dict())
    settings = arguments(
        folder, max_steps=1, per_device_train_batch_size=2, gradient_accumulation_steps=2, max_grad_norm=0.0
    )
    step = torch.optim.SGD(model.parameters(), lr=1.0), None
    MixTrainer(model, settings, mixing=mixing, train_dataset=rows, optimizers=step).train()
    assert mixing.at == draws
    handle.remove()
    moved = {name: start[name] - value for name, value in model.state_dict().items()}
    seen = [(batch, mix.index, mix.mask, mix.lam) for batch, mix in zip(batches, mixes, strict=True)]
    torch.save({"moved": moved, "seen": seen}, folder / f"{rank}.pth")


def six_steps(rank: int, folder: Path, checkpoint: str | None) -> None:
    """A run whose turns are not those of the other process."""
    model = model_of("text")
    hybrid = mm.Alternate([mm.MixUp(axes="b * d"), mm.FMix(axes="b * d"), mm.CutMix(axes="b * d")])
    mixing = mm.TokenMix(model, mm.OneOf([hybrid, mm.CutMix(axes="b * d")]))
    shares: list[float] = []
    model.register_forward_hook(lambda *_: shares.append(float(mixing.mix.lam[0])))  # type: ignore[union-attr]
    settings = arguments(
        folder, max_steps=6, per_device_train_batch_size=1, gradient_accumulation_steps=2, learning_rate=0.01,
        save_strategy="steps", save_steps=3, ddp_find_unused_parameters=False,
    )  # fmt: skip
    trainer = MixTrainer(model, settings, mixing=mixing, train_dataset=rows_of("text", labels_of("classes")))
    trainer.train(resume_from_checkpoint=checkpoint)
    torch.save([shares, hybrid.turn, model.state_dict()], folder / f"{rank}.pth")


@pytest.mark.forks
def test_two_processes_draw_apart_and_have_the_gradient_of_one_large_batch(tmp_path: Path) -> None:
    first, second = in_two_processes(one_step, tmp_path)
    torch.testing.assert_close(first["moved"], second["moved"], rtol=0, atol=0)
    for (_, _, mask, lam), (_, _, other_mask, other_lam) in zip(first["seen"], second["seen"], strict=True):
        assert not torch.equal(mask, other_mask)
        assert not torch.equal(lam, other_lam)
    assert sorted(torch.cat([batch for batch, *_ in first["seen"] + second["seen"]]).tolist()) == list(range(ROWS))
    model, labels, total = model_of("images"), ignored(), torch.zeros(())
    x = torch.stack([row["pixel_values"] for row in rows_of("images", labels)])
    x[:, 0, 0, 0] = torch.arange(ROWS)
    for batch, index, mask, lam in first["seen"] + second["seen"]:
        own, other = batch, batch[index]
        logits = model(torch.where(mask[:, None] > 0.5, x[own], x[other])).logits
        for weight, y in ((lam, labels[own]), (1 - lam, labels[other])):
            total = total + (weight * F.cross_entropy(logits, y, reduction="none")).sum()
    check_gradients(model, total / (labels != -100).sum(), first["moved"])


@pytest.mark.forks
@pytest.mark.slow
def test_two_processes_go_on_each_with_its_own_turns(tmp_path: Path) -> None:
    (first, turn, weights), (second, other_turn, _) = in_two_processes(six_steps, tmp_path, None)
    checkpoint = str(tmp_path / "checkpoint-3")
    states = [torch.load(Path(checkpoint, f"mixing_state_{rank}.pth")) for rank in range(2)]
    assert states[0] != states[1]
    resumed = in_two_processes(six_steps, tmp_path / "again", checkpoint)
    assert [each[:2] for each in resumed] == [[first[6:], turn], [second[6:], other_turn]]
    torch.testing.assert_close(resumed[0][2], weights, rtol=0, atol=0)


# ---------------------------------------------------------------- refusals


def test_what_would_be_mixed_wrongly_is_refused(tmp_path: Path) -> None:
    model, settings = model_of("images"), arguments(tmp_path)
    mixing = mixing_of("images", model, lambda axes: mm.MixUp(axes=axes))
    with pytest.raises(TypeError, match=r"mixing=MixUp\(.* must be the HiddenMix or TokenMix that mixes the model"):
        MixTrainer(model, settings, mixing=mm.MixUp())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"compute_loss_func is given.*pass criterion="):
        MixTrainer(model, settings, mixing=mixing, compute_loss_func=F.cross_entropy)
    with pytest.raises(ValueError, match=r"model_init makes models that mixing does not mix; pass model="):
        MixTrainer(None, settings, mixing=mixing, model_init=lambda: model)
    with pytest.raises(ValueError, match="mixing mixes another ViTForImageClassification than the model"):
        MixTrainer(copy.deepcopy(model), settings, mixing=mixing)
    with pytest.raises(ValueError, match=r"axes='b \*' is for a criterion that is given"):
        MixTrainer(model, settings, mixing=mixing, axes="b *")
    with pytest.raises(ValueError, match=r"label_smoothing_factor=0\.1.*label_smoothing=0\.1"):
        MixTrainer(model, arguments(tmp_path, label_smoothing_factor=0.1), mixing=mixing, criterion=F.cross_entropy)
    smoothed = mm.trainer_loss(mixing, arguments(tmp_path, label_smoothing_factor=0.1))
    with pytest.raises(
        ValueError, match=r"label_smoothing_factor=0\.1.*is for class numbers.*multi_label_classification"
    ):
        smoothed({"logits": torch.rand(2, 3)}, torch.rand(2, 3))
    with pytest.raises(ValueError, match="the batch has no field 'labels'"):
        mm.trainer_loss(mixing, settings)({"logits": torch.rand(2, 3)}, None)
    net = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"Linear has no loss that is known .*pass criterion="):
        mm.trainer_loss(mm.HiddenMix(net, {net: mm.MixUp()}), settings)({"logits": torch.rand(2, 2)}, torch.ones(2))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("ForCausalLM", [2]), ("ForQuestionAnswering", [2]), ("ForSemanticSegmentation", [2, 3]), (None, [2, 3])],
)
def test_losses_that_are_none_of_the_labels_as_they_are_given_are_refused(
    kind: str | None, shape: list[int], tmp_path: Path
) -> None:
    model, labels = model_of("text"), torch.ones(shape).long()
    assert model.loss_type == "ForSequenceClassification"
    model.loss_type = kind
    loss = mm.trainer_loss(mm.HiddenMix(model, {model: mm.MixUp()}), arguments(tmp_path))
    with pytest.raises(ValueError, match=r"no loss that is known for labels of shape \(2,.*\) and dtype torch\.int64"):
        loss({"logits": torch.rand(2, 3, 4)}, labels)
