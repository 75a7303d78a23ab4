"""Reports of runs: every number against one worked out by hand or with numpy, every refusal against its message."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from recipes.report import Options, build_report, main, plot, write_report
from recipes.reporting.cells import mean_and_std, plain
from recipes.reporting.intervals import difference
from recipes.reporting.published import FMIX_TABLE_2, PATCHUP_TABLE_2, TABLES, published_for
from recipes.reporting.summary import Difference, ReportError, find_runs

SCORES = {
    "baseline": [80.0, 81.0, 79.5],
    "fmix": [81.5, 81.5, 82.0],  # pairs 1.5, 0.5, 2.5: mean 1.5, standard deviation 1
    "cutmix": [79.0, 83.0, 80.0],  # pairs -1, 2, 0.5: mean 0.5, standard deviation 1.5
    "dropblock": [79.0, 79.5, 78.5],  # pairs -1, -1.5, -1
}


def write_run(folder: Path, method: str, seed: int, score: float, **changes: Any) -> Path:
    """A finished run as the engine writes it; `changes` go to config.json, those of `result` to result.json."""
    result = {
        "metric": "accuracy",
        "score": score,
        "train_score": score + 10.0,
        "seed": seed,
        "samples_per_s": 400.1,
        "wall_s": 600.0,
        "epochs": 30,
        "versions": {"torch": "2.1.0", "python": "3.11.7"},
        "git": "abc1234",
        "device": "cpu",
        "command": f"python -m recipes.images --method {method} --seed {seed} --out runs/a/{method}{seed} --width 16",
    } | changes.pop("result", {})
    config = {"recipe": "images", "method": method, "data": "cifar10", "model": "preact18", "seed": seed, "lr": 0.1}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config | {"epochs": 30, "out": str(folder)} | changes))
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four methods with three seeds each, at different depths."""
    for method, scores in SCORES.items():
        for seed, score in enumerate(scores):
            write_run(tmp_path / "runs" / method / str(seed), method, seed, score)
    return tmp_path / "runs"


def report(runs: Path, **changes: Any) -> tuple[str, list[dict[str, str]]]:
    """Text of the Markdown file, and the rows of the CSV file."""
    paths = write_report(Options(runs=runs, out=runs.parent / "results" / "name", **changes))
    with paths[1].open(newline="") as file:
        return paths[0].read_text(encoding="utf-8"), list(csv.DictReader(file))


def cells(text: str, method: str) -> list[str]:
    """Cells of a method's line in the main table."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {method} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_by_hand(runs: Path) -> None:
    text, _ = report(runs)
    assert cells(text, "baseline") == ["baseline", "3", "80.17 ± 0.76", "90.17", "–"]
    assert cells(text, "fmix") == ["fmix", "3", "81.67 ± 0.29", "91.67", "+1.50 ± 2.48 (unresolved)"]  # 4.303 / sqrt(3)
    assert cells(text, "cutmix") == ["cutmix", "3", "80.67 ± 2.08", "90.67", "+0.50 ± 3.73 (unresolved)"]
    assert cells(text, "dropblock") == ["dropblock", "3", "79.00 ± 0.50", "89.00", "−1.17 ± 0.72"]


def test_the_likelihood_has_a_column_where_it_is_known(runs: Path) -> None:
    assert "NLL" not in report(runs)[0]  # runs of before it was measured
    for seed, nll in enumerate([0.5, 0.7, 0.9]):
        path = runs / "fmix" / str(seed) / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"nll": nll}))
    text, rows = report(runs)
    assert "| difference to baseline | test NLL (nats) |" in text
    assert cells(text, "fmix")[4:] == ["+1.50 ± 2.48 (unresolved)", "0.700 ± 0.200"]
    assert cells(text, "cutmix")[4:] == ["+0.50 ± 3.73 (unresolved)", "–"]
    by_method = {row["method"]: (row["nll_mean"], row["nll_std"]) for row in rows}
    assert [float(each) for each in by_method["fmix"]] == pytest.approx([0.7, 0.2])
    assert by_method["cutmix"] == ("", "")
    path = runs / "cutmix" / "0" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"nll": 1.0}))
    assert cells(report(runs)[0], "cutmix")[5] == "–"  # not the mean of one of three
    path.write_text(json.dumps(json.loads(path.read_text()) | {"nll": None}))
    with pytest.raises(ReportError, match="nll is None, not a finite number"):
        report(runs)


def test_csv_against_numpy(runs: Path) -> None:
    _, rows = report(runs)
    for row in rows:
        scores = np.array(SCORES[row["method"]])
        pairs = scores - np.array(SCORES["baseline"])
        assert float(row["mean"]) == pytest.approx(scores.mean(), rel=1e-12)
        assert float(row["std"]) == pytest.approx(np.sqrt(((scores - scores.mean()) ** 2).sum() / 2), rel=1e-12)
        assert [float(row[f"seed_{seed}"]) for seed in range(3)] == scores.tolist()
        if row["method"] != "baseline":
            assert float(row["difference"]) == pytest.approx(pairs.mean(), rel=1e-12)
            standard_error = np.sqrt(((pairs - pairs.mean()) ** 2).sum() / 2 / 3)
            assert float(row["half_interval"]) == pytest.approx(4.302652730 * standard_error, rel=1e-9)  # tables of t
    assert {row["method"]: row["verdict"] for row in rows} == {
        "baseline": "",
        "fmix": "unresolved",
        "cutmix": "unresolved",
        "dropblock": "resolved",
    }


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([1.0, 1.25], "unresolved"),  # mean 1.125, standard error 0.125: 9 of them, and t of one degree is 12.706
        ([-1.0, -1.25], "unresolved"),
        ([1.0, 1.1], "resolved"),  # 21 standard errors
        ([-1.0, -1.1], "resolved"),
        ([1.0, 3.0, 5.0], "unresolved"),  # mean 3, standard error 1.155: 2.6 of 4.303
        ([4.0, 5.0, 6.0], "resolved"),  # mean 5, standard error 0.577: 8.7
        ([-2.0, -3.0, -4.0], "resolved"),  # 5.2
        ([2.0, 2.5, 4.5], "unresolved"),  # 3.9
        ([5.0], "one seed"),
        ([], "no common seed"),
    ],
)
def test_verdict(pairs: list[float], verdict: str) -> None:
    scores = {seed: 50.0 + pair for seed, pair in enumerate(pairs)} | {100: 1.0}
    assert Difference(difference(scores, dict.fromkeys(range(10), 50.0))).verdict == verdict


def test_pairs_are_matched_by_seed(tmp_path: Path) -> None:
    for seed, score in {0: 50.0, 1: 60.0, 2: 70.0}.items():
        write_run(tmp_path / f"runs/b{seed}", "baseline", seed, score)
    for seed, score in {2: 71.0, 1: 63.0, 7: 10.0}.items():
        write_run(tmp_path / f"runs/f{seed}", "fmix", seed, score)
    write_run(tmp_path / "runs/c", "cutmix", 2, 72.5)
    write_run(tmp_path / "runs/m", "mixup", 9, 80.0)
    text, rows = report(tmp_path / "runs")
    assert cells(text, "fmix")[4] == "+2.00 ± 12.71 (unresolved; 2 common seeds)"
    assert cells(text, "cutmix")[2:] == ["72.50 ± –", "82.50", "+2.50 (one seed)"]
    assert cells(text, "mixup")[4] == "no common seed"
    assert rows[1]["method"] == "cutmix"
    assert rows[1]["std"] == ""
    assert rows[1]["half_interval"] == ""
    assert rows[1]["seed_0"] == ""
    assert rows[1]["seed_2"] == "72.5"


def test_order_of_rows(runs: Path) -> None:
    assert [row["method"] for row in report(runs)[1]] == ["baseline", "cutmix", "dropblock", "fmix"]
    ordered = report(runs, order=("fmix", "baseline"))[1]
    assert [row["method"] for row in ordered] == ["baseline", "fmix", "cutmix", "dropblock"]
    other = report(runs, baseline="fmix")[1]
    assert other[0]["method"] == "fmix"
    assert float(other[1]["difference"]) == pytest.approx(-1.5)


def test_a_different_setting_is_refused(runs: Path) -> None:
    folder = write_run(runs / "late", "mixup", 0, 80.0, lr=0.2)
    with pytest.raises(ReportError, match=r"lr is 0.1 in .* but 0.2 in ") as caught:
        report(runs)
    assert str(folder) in str(caught.value)
    assert str(runs / "baseline" / "0") in str(caught.value)


def test_trained_epochs_and_metric_are_settings(runs: Path) -> None:
    write_run(runs / "late", "mixup", 0, 80.0, result={"epochs": 29})
    with pytest.raises(ReportError, match=r"epochs is 30 .* but 29"):
        report(runs)


def test_settings_of_one_method(runs: Path) -> None:
    write_run(runs / "p0", "patchup", 0, 80.0, block_size=3, prob=1.0, resume="x")
    text, _ = report(runs)
    assert "| patchup | block_size | 3 |" in text
    assert "| patchup | prob" not in text  # the default
    assert "| lr | 0.1 |" in text
    assert "resume" not in text
    write_run(runs / "p1", "patchup", 1, 80.0, block_size=5, prob=1.0)
    with pytest.raises(ReportError, match=r"block_size is 3 in .*p0 but 5 in .*p1"):
        report(runs)


def test_methods_may_differ_in_their_own_settings(runs: Path) -> None:
    for seed in range(3):
        write_run(runs / f"p{seed}", "patchup", seed, 80.0, alpha=1.5, prob=0.7)
    text, _ = report(runs)
    assert "| patchup | prob | 0.7 |" in text
    assert "| patchup | alpha | 1.5 |" in text
    assert "| baseline | prob" not in text
    write_run(runs / "p3", "patchup", 3, 80.0, alpha=1.0, prob=0.7)
    with pytest.raises(ReportError, match=r"alpha is 1.5 in .*p0 but 1.0 in .*p3"):
        report(runs)


def test_one_method_with_and_without_a_setting(runs: Path) -> None:
    write_run(runs / "p0", "patchup", 0, 80.0, block_size=7)
    write_run(runs / "p1", "patchup", 1, 80.0)
    with pytest.raises(ReportError, match=r"block_size is 7 in .*p0 but 'absent' in .*p1"):
        report(runs)


def test_duplicates_are_refused(runs: Path) -> None:
    folder = write_run(runs / "again", "fmix", 1, 80.0)
    with pytest.raises(ReportError, match="'fmix' has two runs of seed 1") as caught:
        report(runs)
    assert str(folder) in str(caught.value)
    assert str(runs / "fmix" / "1") in str(caught.value)


def test_unfinished_runs_are_listed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "fmix" / "2" / "result.json").unlink()
    _, rows = report(runs)
    assert capsys.readouterr().err == f"unfinished, left out: {runs / 'fmix' / '2'}\n"
    assert next(row for row in rows if row["method"] == "fmix")["n"] == "2"


def test_arguments_at_fault_are_named(runs: Path, tmp_path: Path) -> None:
    for changes, message in (
        ({"baseline": "none"}, "baseline names 'none', .* choose from baseline, cutmix, dropblock, fmix"),
        ({"order": ("fmxi",)}, "order names 'fmxi'"),
        ({"published": "cifar10/vgg"}, "published='cifar10/vgg': no published table .*cifar10/preact18"),
    ):
        with pytest.raises(ReportError, match=message):
            report(runs, **changes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReportError, match=r"runs='.*empty' holds no finished run \(0 unfinished\)"):
        report(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("result.json", "{", "not valid JSON"),
        ("result.json", "[]", "holds a list"),
        ("config.json", "{}", "lacks method, seed"),
        ("config.json", None, "config.json is missing"),
        ("result.json", b"\x89PNG\xff", "not valid JSON .*can't decode"),
        ("result.json", b"[" * 10**6, "not valid JSON .*recursion"),
        ("result.json", ..., r"cannot be read \(Is a directory\)"),
    ],
)
def test_broken_files_are_named(runs: Path, name: str, content: Any, message: str) -> None:
    path = runs / "fmix" / "0" / name
    path.unlink()
    if content is ...:
        path.mkdir()
    elif content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ReportError, match=message) as caught:
        report(runs)
    assert str(path) in str(caught.value)


def test_scores_that_are_no_numbers_and_other_seeds_are_refused(runs: Path) -> None:
    folder = write_run(runs / "nan", "mixup", 0, float("nan"))
    with pytest.raises(ReportError, match="nan: score is nan"):
        report(runs)
    result = json.loads((folder / "result.json").read_text()) | {"score": 1.0, "train_score": 1.0, "seed": 4}
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(ReportError, match=r"seed is 0 in config.json but 4 in result.json"):
        report(runs)


@pytest.mark.parametrize(
    "key", ["metric", "score", "train_score", "seed", "epochs", "wall_s", "versions", "git", "command"]
)
@pytest.mark.parametrize("value", [None, [1], True])
def test_a_result_without_a_field_or_of_another_kind_is_refused(runs: Path, key: str, value: Any) -> None:
    path = runs / "fmix" / "0" / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {key: value}))
    with pytest.raises(ReportError, match=rf"result\.json has .* as {key}: run it again"):
        report(runs)
    del result[key]
    path.write_text(json.dumps(result))
    with pytest.raises(ReportError, match=rf"result\.json lacks {key}: run it again"):
        report(runs)


@pytest.mark.parametrize("score", [1e9, -0.5, 100.001, float("inf")])
def test_a_score_is_a_percentage(runs: Path, score: float) -> None:
    write_run(runs / "high", "mixup", 0, 80.0, result={"train_score": score})
    with pytest.raises(ReportError, match=r"high: train_score is .*, not a finite number from 0 to 100"):
        report(runs)


def test_settings_of_other_epochs_are_refused_but_of_a_smoke_test(tmp_path: Path) -> None:
    """As of a run that is being trained longer, beside its old result."""
    write_run(tmp_path / "a" / "0", "baseline", 0, 80.0, smoke=True, result={"epochs": 2})
    report(tmp_path / "a")
    write_run(tmp_path / "b" / "0", "baseline", 0, 80.0, epochs=60)
    with pytest.raises(ReportError, match=r"epochs is 60 in config\.json but 30 in result\.json: train it to its end"):
        report(tmp_path / "b")


@pytest.mark.parametrize("suffix", [".md", ".csv", ".png"])
def test_a_report_that_cannot_be_written_ends_in_a_sentence(
    runs: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = runs.parent / "results" / "name"
    out.with_name(f"name{suffix}").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["report", str(runs), "--out", str(out)])
    with pytest.raises(SystemExit, match=rf"recipes\.report: .*name\{suffix} cannot be written \(Is a directory\)"):
        main()
    assert not list(out.parent.glob("*.partial"))
    (runs.parent / "file").touch()
    monkeypatch.setattr(sys, "argv", ["report", str(runs), "--out", str(runs.parent / "file" / "name")])
    with pytest.raises(SystemExit, match=r"recipes\.report: .*Not a directory|File exists"):
        main()


def test_published_columns(runs: Path) -> None:
    text, rows = report(runs, published="cifar10/preact18")
    assert cells(text, "baseline")[5:] == ["94.63 ± 0.21", "–", "95.20 ± 0.14", "–"]
    assert cells(text, "fmix")[5:] == ["96.14 ± 0.10", "+1.51", "–", "–"]
    assert cells(text, "cutmix")[5:] == ["96.00 ± 0.07", "+1.37", "96.48 ± 0.90", "+1.28"]  # error 3.52 against 4.80
    assert cells(text, "dropblock")[5:] == ["–", "–", "94.96 ± 0.15", "−0.24"]  # error 5.04 against 4.80
    assert "Published as error (%), shown here as accuracy = 100 − error." in text
    assert "not run here: mixup, fmix+mixup, cutmix+mixup, fmix+cutmix." in text
    assert float(rows[1]["PatchUp, Table 2 mean"]) == 96.48
    assert rows[3]["PatchUp, Table 2 mean"] == ""


def test_published_metric_has_to_match(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/b", "baseline", 0, 80.0, result={"metric": "roc_auc"})
    with pytest.raises(ReportError, match="reports accuracy, but the runs report roc_auc"):
        report(tmp_path / "runs", published="cifar10/preact18")


def test_published_values() -> None:
    assert PATCHUP_TABLE_2.scores["cifar100", "wrn28-10"]["patchup-soft"] == (16.73, 0.11)
    assert PATCHUP_TABLE_2.scores["svhn", "preact34"]["patchup-hard"] == (2.12, 0.02)
    assert PATCHUP_TABLE_2.score(("svhn", "preact34"), "patchup-hard") == (97.88, 0.02)
    assert FMIX_TABLE_2.score(("cifar10", "pyramid272"), "fmix") == (98.64, None)
    assert len(PATCHUP_TABLE_2.scores) == 9
    assert all(len(row) == 9 for row in PATCHUP_TABLE_2.scores.values())
    assert published_for(("fashion-mnist", "wrn28-10")) == (FMIX_TABLE_2,)
    for table in TABLES:
        for key, row in table.scores.items():
            for method in row:
                score = table.score(key, method)
                assert score is not None
                assert (4.0 if "imagenet-a-" in key[0] else 50.0) < score[0] < 100.0
                assert score[1] is None or score[1] < 1.1


def test_origin_of_the_numbers(runs: Path) -> None:
    write_run(runs / "other", "mixup", 4, 80.0, result={"git": "def5678+dirty", "device": "cuda"})
    text, _ = report(runs)
    loop = "python -m recipes.images --method fmix --seed $seed --out runs/fmix-$seed --width 16"
    assert f"for seed in 0 1 2; do {loop}; done\n" in text
    assert "\npython -m recipes.images --method mixup --seed 4 --out runs/mixup-4 --width 16\n" in text
    assert "* Versions: python 3.11.7, torch 2.1.0\n* Revision: abc1234, def5678+dirty (+dirty: " in text
    assert "* Device: cpu / cuda\n* Training time of all 13 runs: 2.17 h" in text  # 13 * 600 s
    assert "# images, cifar10, preact18\n" in text
    assert "last epoch" in text
    assert "unresolved if its interval contains 0" in text
    assert f"`python -m recipes.report {runs} --out {runs.parent}/results/name --baseline baseline`" in text


def test_what_a_score_is(tmp_path: Path) -> None:
    config = {"median_of": 5, "score_on": "validation"}
    write_run(tmp_path / "runs/0", "baseline", 0, 80.0, **config)
    text, _ = report(tmp_path / "runs")
    assert "| validation accuracy (%) |" in text
    assert "its validation accuracy in percent, median of the last 5 epochs;" in text
    assert "last epoch" not in text


def test_commands_that_differ_stay_apart(tmp_path: Path) -> None:
    for seed, command in enumerate(("python -m x --seed=0", "python -m x --seed=1", "python -m x --lr 1")):
        write_run(tmp_path / f"runs/{seed}", "baseline", seed, 80.0, result={"command": command})
    text, _ = report(tmp_path / "runs")
    assert "for seed in 0 1; do python -m x --seed=$seed; done\npython -m x --lr 1 --seed 2\n" in text


def test_same_runs_give_the_same_bytes(runs: Path) -> None:
    options = Options(runs=runs, out=runs.parent / "v0.1", published="cifar10/preact18", title="A | B", order=("fmix",))
    first = [path.read_bytes() for path in write_report(options)[:2]]
    assert [path.name for path in write_report(options)] == ["v0.1.md", "v0.1.csv", "v0.1.png"]
    code = "import sys; from pathlib import Path; from recipes.report import Options, write_report\n"
    code += "runs, out = map(Path, sys.argv[1:])\n"
    code += "write_report(Options(runs, out, 'baseline', 'cifar10/preact18', 'A | B', ('fmix',)))"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(options.runs), str(options.out)], check=True, cwd=root)
    again = [options.out.with_name(options.out.name + suffix).read_bytes() for suffix in (".md", ".csv")]
    assert first == again
    assert b"\r" not in first[0] + first[1]


def test_command_line(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = runs.parent / "results" / "name"
    monkeypatch.setattr(sys, "argv", ["report", str(runs), "--out", str(out), "--order", "fmix", "cutmix"])
    main()
    assert capsys.readouterr().out.split() == [f"{out}.md", f"{out}.csv", f"{out}.png"]
    monkeypatch.setattr(sys, "argv", ["report", str(runs), "--out", str(out), "--baseline", "none"])
    with pytest.raises(SystemExit, match=r"recipes.report: baseline names 'none'"):
        main()


def test_plot_shows_every_number(runs: Path) -> None:
    options = Options(runs=runs, out=runs.parent / "name")
    left, right = plot(build_report(find_runs(runs)[0], options)).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["baseline", "cutmix", "dropblock", "fmix"]
    drawn = [sorted(np.asarray(line.get_xdata()).tolist()) for line in left.lines]
    assert all(sorted(scores) in drawn for scores in SCORES.values())
    bars = [bars for bars in right.collections if isinstance(bars, LineCollection)]
    segments = [np.asarray(segment)[:, 0] for bar in bars for segment in bar.get_segments()]
    for method, place in (("cutmix", 0), ("dropblock", 1), ("fmix", 2)):
        pairs = np.array(SCORES[method]) - np.array(SCORES["baseline"])
        half = 4.302652730 * pairs.std(ddof=1) / np.sqrt(3)
        assert segments[place] == pytest.approx([pairs.mean() - half, pairs.mean() + half])


def test_cells() -> None:
    assert (plain(-0.001, "+"), plain(-1.5), plain(2.0, "+")) == ("+0.00", "−1.50", "+2.00")
    assert mean_and_std(81.234, None) == "81.23 ± –"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ('{"command": "a \'b"}', r"command is \"a 'b\", which no shell reads"),
        ('{"wall_s": 1e999}', r"wall_s is inf, not a number of seconds"),
        ('{"wall_s": -1}', r"wall_s is -1, not a number of seconds"),
        ('{"nll": %s}' % ("9" * 400), r"nll is 9+, not a finite number"),
        ('{"nll": true}', r"nll is True, not a finite number"),
        ('{"git": "\\ud800"}', r"result\.json is not valid JSON .*surrogates"),
        ('{"seed": %s}' % ("9" * 5000), r"result\.json is not valid JSON .*digits"),
    ],
    ids=["quote", "infinite", "negative", "400 digits", "bool", "half a character", "5,000 digits"],
)
def test_what_no_report_can_say_is_refused(runs: Path, changes: str, message: str) -> None:
    path = runs / "fmix" / "0" / "result.json"
    path.write_text(path.read_text().rstrip("}") + "," + changes.lstrip("{"))
    with pytest.raises(ReportError, match=message) as caught:
        report(runs)
    assert str(path.parent) in str(caught.value)
