"""What the fuzzers found, and the words of the page about them."""

TEXT = """# Fuzzing

Every reader of files and every public call is run on randomly altered input. For a reader the fuzzer starts from valid
files and changes them byte by byte; for a call it chooses shapes, strides, dtypes, axes patterns, settings and
extremes. An input that reaches a line of our code that no earlier input reached is kept and altered further. Lines are
traced for the first {watched:,} calls of each search, and for one call in {one_of} after that.

A call may return a result, or raise the documented error in one sentence that names the file or the argument. Anything
else is a fault: another error, an error raised inside a library, a crash, more than {patience:g} seconds of CPU time or
{idle:g} seconds in all, or a process that has grown by more than {memory} MiB plus {per_byte} bytes for each byte of
its longest input. Pictures pack blank paper into a few bytes, so reading one may take {pixel} bytes for each of its
pixels, of which it may have {pixels:,}.

The values in a mixed batch identify the samples they come from, so `mix.lam`, the soft targets and the loss are checked
against what the batch actually contains. In the tests, Hypothesis feeds the same calls. Hidden mixers, token mixers and
the framework adapters are not fuzzed."""
HEAD = "| where | what happened | now |\n|---|---|---|"
FOUND: list[tuple[str, str, str]] = [
    (
        "npz of a shape",
        "`TokenError`, `AttributeError`: a damaged header; an array that claims gigabytes took them; a sentence of "
        "several lines, from names with line breaks",
        "one line; what a header claims is checked first",
    ),
    ("packed voxels", "`TokenError`: a header cut within a string", "one sentence"),
    (
        "PLY",
        "`ValueError` without the file: a corner that is NaN; a corner of 1.5 was silently taken for 1; 100,000,000 "
        "elements without a property, read endlessly from nothing",
        "one sentence",
    ),
    (
        "CIFAR-10-C",
        "seven kinds of NumPy's errors without the file; labels that claim gigabytes (`MemoryError`); a crash (SIGFPE) "
        "of NumPy: a negative number of labels; labels and images of different numbers, for which only one file was "
        "named",
        "one sentence; both files are mapped once their headers agree with their sizes",
    ),
    ("CIFAR's pickles", "a sentence of several lines, from names with line breaks", "one line"),
    (
        "SVHN",
        "`UnboundLocalError` within SciPy: a damaged element; a crash (SIGSEGV) of SciPy: numbers of a type that does "
        "not exist",
        "one sentence; a reader of ours, without SciPy",
    ),
    (
        "pictures",
        "`MemoryError`: a part of 32 bytes that claims gigabytes; 900 MiB and more than 10 seconds for a picture of 76 "
        "bytes",
        "read up to a bound on pixels, which the sentence names",
    ),
    (
        "Tiny-ImageNet",
        "names in `wnids.txt` and of annotated images that led out of the folder",
        "one sentence; the list of clips of Speech Commands likewise",
    ),
    (
        "FLAC",
        "`MemoryError`, `ValueError` within NumPy: a header that claims terabytes",
        "read as far as there are samples, up to a bound",
    ),
    (
        "cache of clips",
        "a crash (SIGSEGV): texts that begin beyond the end of the file",
        "one sentence; where rows begin and end is checked first",
    ),
    (
        "ModelNet's zip",
        "`NotImplementedError`, `OSError` of a seek, `UnicodeDecodeError`: damaged members; a sentence of "
        "several lines",
        "one sentence; only meshes in their places are unpacked",
    ),
    (
        "jsonl",
        "`ValueError` without the line: a number of 5,000 digits, half a character (`\\ud800`)",
        "one sentence with the line",
    ),
    (
        "result.json",
        "`ValueError` of `shlex`: a command with an open quote; `OverflowError`: a number of 400 "
        "digits; half a character",
        "one sentence",
    ),
    ("checkpoint, analysed", "`SafetensorError`, `JSONDecodeError`", "one sentence"),
    (
        "checkpoint, resumed",
        "`AttributeError`, `TypeError`: settings or mixers of another kind; a negative number of epochs was accepted",
        "one sentence",
    ),
    ("batch that was not finite", "`SafetensorError`, `JSONDecodeError`", "one sentence"),
    (
        "turns of mixers, pth",
        "seven kinds of errors of `torch.load` without the file; turns of other mixers, likewise",
        "one sentence",
    ),
    (
        "`alpha` of all mixers",
        "`OverflowError`: 10³⁰ as an integer; also, `lam` was silently NaN for an alpha below 10⁻⁴⁵",
        "a share of 0, 1/2 or 1",
    ),
    (
        "`FMix`, `PuzzleMix`",
        "`OverflowError`: 10³⁰ as an integer for `decay_power`, `eta` or `t_eps`",
        "taken as any number",
    ),
    (
        "`PatchUp`, and every error that shows what was given",
        "a sentence of several lines, from a tensor in place of a number",
        "one line",
    ),
    (
        "`Mix.resize`, `Mix.accuracy`",
        "`RuntimeError`, `IndexError` of torch: sizes that are fractions, predictions or labels of no class, truth "
        "values, complex numbers",
        "named errors; truth values are 0 and 1",
    ),
    ("`Mix.to`", "`RuntimeError` of torch: a device that does not exist", "a named error"),
    (
        "`Mix.loss`",
        "`RuntimeError` of torch: a criterion that counts, and returns an integer; `IndexError`: predictions of one "
        "sample, `(C,)`, with `axes=`",
        "counted as any other; a named error",
    ),
    (
        "`PuzzleMix`",
        "`IndexError` of torch: a batch without samples or channels",
        "a named error",
    ),
    (
        "`settings_of` of a run's config",
        "an error in the settings that does not say where they come from",
        "one sentence",
    ),
    ("`LengthBucketBatchSampler`", "an error of torch for `drop_last=None`", "a named error"),
    ("`Cutout`", "`OverflowError`: a size of 10³⁰", "covers the grid"),
    ("`InPairs`", "`IndexError`: a batch without axes; `AttributeError`: an index that is a list", "named errors"),
    (
        "`KeepEnds`",
        "`AttributeError`: `valid` that is not a tensor; with a one-column `valid`, all tokens were silently kept",
        "named errors",
    ),
    (
        "`PadCollate`",
        "a `pad_id` of NaN silently made the ids fractions; `IndexError`: no sample; errors of torch's collate "
        "without the field; `RuntimeError`: values of several shapes for a token",
        "named errors",
    ),
    (
        "`MixCollate`",
        "`IndexError`: no sample; `RuntimeError` of torch's collate: samples of several shapes",
        "named errors",
    ),
]
