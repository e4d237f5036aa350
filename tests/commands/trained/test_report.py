"""The page of report.py, of runs, sweeps and searches: what it contains, and what it leaves out."""

import json
import logging
import re
import shutil
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import altair as alt
import pytest
import yaml
from commands.mistakes import Command
from pages import cells_of, page_of, text_of
from searches import STATUSES, change, train_search, write_importance
from support import SMALL, metrics_of, train_into, write_config

from mlplab.commands.report.comparison import compared
from mlplab.commands.report.report import curves_chart, report, score_charts
from mlplab.errors import UserError
from mlplab.figures.style import BASELINE, NETWORK
from mlplab.figures.write_figures import write_figures
from mlplab.runs.compare.run_result import read_run
from mlplab.runs.discovery import BEST_TRIAL_FILE, runs_below
from mlplab.typed_commands import commands_as_typed

pytestmark = pytest.mark.usefixtures("without_script_of_charts", "quick_images")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logging.getLogger("mlplab").setLevel(logging.INFO)
    folder = tmp_path_factory.mktemp("trained")
    plain = [word for word in SMALL if not word.startswith("baselines")]
    rates = [[*plain, "baselines=[constant,linear]", f"optimizer.lr={lr}"] for lr in (0.0001, 0.001, 0.01)]
    train_into(folder / "sweep", *([*rate, f"seed={seed}"] for rate in rates for seed in (0, 1)))
    train_into(folder / "classes", [*plain, "data.function=blobs", "baselines=[constant]"])
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path, dirs_exist_ok=True))


def charts_in(html: str) -> list[str]:
    """The specifications of charts, as they are not escaped."""
    scripts = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    return [json.dumps(json.loads(script)) for script in scripts]


def test_a_run_has_all_parts(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = here / "sweep/0"
    charts = {name: alt.Chart({"values": []}).mark_point() for name in ("other", "predicted_vs_actual")}
    write_figures(run, charts)
    write_importance(run, "0")
    change(run, **{"constant/test/rmse": 1e9, "linear/test/rmse": 1e-9})
    with (run / "train.log").open("a") as log:
        log.write("2026-01-01 00:00:00  warning: watch out\n")
    schema = json.loads((run / "schema.json").read_text())
    assert "<details>\n    <summary>6 columns</summary>" in page_of(run)
    (run / "schema.json").write_text(json.dumps(schema | {"left_out": {"id": "is an identifier"}}))
    monkeypatch.setattr("mlplab.commands.report.run.MOST_COLUMNS", 5)
    page = page_of(run)
    caption = "7 columns, 1 of them left out; the first 5 are shown"
    assert f"<details open>\n    <summary>{caption}</summary>" in page
    head, first, *_ = rows = cells_of(page, caption)
    assert (head, len(rows)) == (["column", "role", "kind", "note"], 6)
    assert first == ["id", "left out", "", "is an identifier"]
    text = text_of(page)
    score = f"{metrics_of(run)['test/rmse']:.4g}"
    for part in (
        *("friedman1 → target (numbers)", "60 rows, 5 columns", "2 × 8 units (silu)", "this network", score),
        "By test RMSE, the network is better than the mean, but is no better than ridge regression.",
        *("Loss", "val/mae", "watch out", "x1", "Increase of rmse (2.5)", "0.5", "0.25"),
        *("git commit", "torch", "seed", "max_epochs: 5"),
    ):
        assert part in text


def test_a_sweep_marks_the_best_by_validation_and_never_by_test(here: Path) -> None:
    sweep = here / "sweep"
    for run in sweep.iterdir():
        change(run, **{"val/mae": 5.0, "test/rmse": 5.0, "test/mae": 5.0})
    change(sweep / "2", **{"val/mae": 1.0, "test/rmse": 9.0})
    change(sweep / "3", **{"val/mae": 2.0, "test/rmse": 9.0})
    change(sweep / "5", **{"val/mae": 0.9, "test/rmse": 0.1})  # alone: its configuration is not the best
    (sweep / "2/film.html").touch()
    html = page_of(sweep)
    text = text_of(html)
    assert "6 runs: 6 done. The best by val/mae is 2 (1), chosen on the validation rows." in text
    assert "The best run: 2" in text
    best = re.findall(r'<tr class="best"><th scope="row"[^>]*>(\d)</th>', html)
    assert best == ["2", "3"]
    assert "9 ± 0" not in text
    assert "mean ± SD over 2 seeds" in text
    assert 'href="2/film.html"' in html


def test_runs_on_different_tables_are_different_parts(here: Path) -> None:
    write_importance(here / "sweep", "2", "3")
    write_figures(here / "sweep", {"importance": alt.Chart(alt.Data(values=[])).mark_bar()})
    shutil.move(here / "classes/0", here / "sweep/z0")
    html = page_of(here / "sweep")
    assert html.count("<h1>") == 1
    assert "2 different tables or targets" in html
    levels = list(map(int, re.findall(r"<h(\d)", html)))
    assert all(below - above <= 1 for above, below in pairwise(levels))
    numbers, classes = html.split('<div class="part" id="part-')[1:]
    assert "By test log loss" in classes
    importance = ("Increase of rmse (2.5)", "Of 2 runs (2, 3); x, test rows: 9", "<strong>Importance<")
    assert all(part in numbers and part not in classes for part in importance)
    for damaged in ("{}", '{"metric": "rmse", "columns": [{}]}'):
        (here / "sweep/importance.json").write_text(damaged)
        assert "Increase of rmse" not in page_of(here / "sweep")


def test_what_comes_from_runs_is_escaped(here: Path) -> None:
    run = here / "<b>bold"
    (here / "sweep/0").rename(run)
    evil = "</script><script>alert(1)</script>"
    schema = json.loads((run / "schema.json").read_text())
    schema["inputs"][0]["name"] = evil
    (run / "schema.json").write_text(json.dumps(schema))
    data = alt.Data(values=[{evil: 1}])
    write_figures(run, {"evil": alt.Chart(data, title=evil).mark_point()})
    change(run, status="diverged", reason=evil)
    html = page_of(run)
    assert "default-src 'none'" in html
    assert "<script>/* charts */</script>" in html
    assert not re.search(r"<(link|img|iframe|object)\b|\bsrc=", html)
    assert "<b>bold" not in html
    assert "<script>alert" not in html
    assert html.count("<script") == html.count("</script>") == len(re.findall(r"<script[ >]", html))
    assert evil in unescape(html)
    assert "Status: diverged: <" in text_of(html)
    assert any(evil in chart for chart in charts_in(html))


def test_absent_and_damaged_files_are_explained_with_the_remedy(here: Path) -> None:
    run = here / "sweep/0"
    [events] = run.rglob("events.out.*")
    events.write_bytes(events.read_bytes()[:-20])
    shutil.copy(events, events.with_name("events.out.tfevents.9"))  # a resumed run has several
    assert any("train/loss" in chart for chart in charts_in(page_of(run)))
    events.write_bytes(b"nonsense")
    events.with_name("events.out.tfevents.9").unlink()
    assert "no curves" in text_of(page_of(run))
    events.unlink()
    text, config = text_of(page_of(run)), run / "config.yaml"
    config.write_text(re.sub(r"(?m)^figures: .*$", "figures: auto", config.read_text()))
    for remedy in ("logger=[tensorboard]", "importance=true", "with figures=none."):
        assert remedy in text
    remedy = commands_as_typed("There are no figures: mlplab train resume=FOLDER draws them.")
    assert remedy in text_of(page_of(run))


def test_unreadable_runs_are_left_out_and_odd_values_are_not_fatal(here: Path, succeed: Command) -> None:
    (here / "sweep/0/metrics.json").write_text('{"status": "do')
    config = here / "sweep/1/config.yaml"
    config.write_text(config.read_text().replace("# mlplab 1.", "# mlplab 99."))
    odd = {"members": "x", "best_epoch": None, "seconds": [], "linear/test/rmse": None, "test/mae": "high"}
    for number in range(2, 6):
        change(here / f"sweep/{number}", **odd, reason=5)
    change(here / "sweep/2", status="failed", **{"test/rmse": None, "val/mae": None})
    shutil.copytree(here / "sweep/3", here / "sweep/copy")
    ended = succeed("report", "sweep")
    assert re.fullmatch(r"sweep/report.html \(\d\.\d MB\)\n", ended.out)
    html = text_of((here / "sweep/report.html").read_text())
    for said in ("sweep/0/metrics.json: is damaged", "which this version"):
        assert said in ended.err
        assert said in html
    assert "4 runs: 3 done, 1 failed" in html
    assert "same configuration and seed as another run: 1." in html


def test_mistakes_are_explained(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = Mock(side_effect=PermissionError(13, "no"))
    monkeypatch.setattr("mlplab.commands.report.report.replacing", refuse)
    mistakes = {"nowhere": "no such folder", "sweep/0/metrics.json": "is a file, not a folder"}
    for folder, said in (mistakes | {"sweep": "report.html: cannot be written"}).items():
        with pytest.raises(UserError, match=said):
            report(here / folder)


def test_of_many_runs_the_best_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(230):
        (run := tmp_path / str(number)).mkdir()
        write_config(run, {"name": "x", "seed": number, "data": {"name": "t"}, "monitor": "val/mae"})
        (run / "metrics.json").write_text(json.dumps({"status": "done", "val/mae": number + 1}))
    read = Mock(return_value={})
    monkeypatch.setattr("mlplab.commands.report.report.read_curves", read)
    html = page_of(tmp_path)
    assert read.call_count == 200
    assert "curves of the best 200 runs by val/mae" in html
    assert len(re.findall(r"<tr[ >].*?>done</td></tr>", html)) == 230


DONE = [f"trial-{number:04d}" for number, status in enumerate(STATUSES) if status == "done"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched") / "search"
    train_search(folder)
    return folder


@pytest.fixture
def search(searched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(searched, tmp_path / "search"))


@pytest.fixture
def best(search: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((search / BEST_TRIAL_FILE).read_text()))


def test_the_page_opens_on_the_best_trial_and_how_it_was_chosen(search: Path, best: dict[str, Any]) -> None:
    html = page_of(search)
    text = text_of(html)
    assert text[text.index("The search") :].startswith(
        "The search 9 trials: 5 done, 2 pruned, 1 diverged, 1 failed. "
        f"The best by val/mae is {best['trial']} ({best['value']:.4g}), chosen on the validation rows. "
        "The search used the test rows once, to score it."
    )
    assert re.findall(r"<figcaption><strong>(.*?)</strong>", html)[0] == "val/mae of every run"
    assert f"The best trial: {best['trial']}" in text
    assert re.search(f"Its configuration: .*lr={best['configuration']['optimizer.lr']:.4g}", text)
    head, first, ridge = cells_of(html, "Scores of the best")
    assert head == ["model", "val MAE", "test RMSE", "test MAE", "test R²"]
    assert first[:3] == ["best trial", f"{best['value']:.4g}", f"{best['test']['rmse']:.4g}"]
    assert ridge[0] == "ridge regression"
    head, *rows = cells_of(html, "Best first by")
    assert head == ["trial", "dropout", "lr", "weight_decay", "val MAE", "epochs", "status"]
    ends = [*["done"] * 5, *["pruned"] * 2, "diverged: it has diverged", "failed: it has failed"]
    assert [row[-1] for row in rows] == ends
    assert rows[0][0] == best["trial"]
    scores = [float(row[4]) for row in rows[:5]]
    assert scores == sorted(scores)


def test_curves_of_a_search(search: Path, best: dict[str, Any]) -> None:
    [comparison] = compared(search, [read_run(run) for run in runs_below(search)])
    [chart] = curves_chart(comparison)
    curves = chart["layer"][0]["transform"][0]["from"]["data"]["values"]
    colours = {run["name"]: run["colour"] for run in curves}
    assert {name for name, colour in colours.items() if colour == NETWORK} == {best["trial"]}
    faint = {name for name, colour in colours.items() if colour == BASELINE}
    assert faint == {f"trial-{n:04d}" for n, status in enumerate(STATUSES) if status == "pruned"}


def test_scores_of_a_search_by_trial_and_over_each_key(search: Path, best: dict[str, Any]) -> None:
    other = next(name for name in DONE if name != best["trial"])
    change(search / other, **{"test/mae": 0.0})  # takes no part in the choice
    [comparison] = compared(search, [read_run(run) for run in runs_below(search)])
    charts = score_charts(comparison)
    titles = [chart["title"]["text"] for chart in charts]
    assert titles == [
        "val/mae by trial",
        *(f"val/mae over {key}" for key in ("dropout", "lr", "weight_decay")),
    ]
    for chart in charts:
        *_, on_axis, beyond = (layer["data"]["values"] for layer in chart["layer"])
        assert {row["run"] for row in [*on_axis, *beyond] if row["is_best"]} == {best["trial"]}
        assert sorted(row["status"] for row in [*on_axis, *beyond]) == sorted(STATUSES)
        assert {row["status"] for row in beyond} >= {"diverged", "failed"}
    [line, on_axis, _] = charts[0]["layer"]
    assert line["data"]["values"][-1]["score"] == pytest.approx(best["value"], rel=1e-4)
    assert all(row["run"] == f"trial-{row['value']:04d}" for row in on_axis["data"]["values"])
    for name in DONE:
        change(search / name, **{"val/mae": None})
    [comparison] = compared(search, [read_run(run) for run in runs_below(search)])
    assert score_charts(comparison) == []


def test_a_key_that_the_best_run_lacks_is_not_named(here: Path) -> None:
    config = here / "sweep/5/config.yaml"
    config.write_text(config.read_text() + "extra: {_target_: a.B}\n")
    html = page_of(here / "sweep")
    assert not re.search("Its configuration:.*_target_", html)
    head, *rows = cells_of(html, "Best first by")
    column = head.index("extra")
    assert {row[column] for row in rows} == {"–", "a.B"}


def test_a_search_that_goes_on_shows_what_it_knows(search: Path, best: dict[str, Any]) -> None:
    other = next(name for name in DONE if name != best["trial"])
    change(search / other, **{"val/mae": best["value"] / 2})  # a better trial than the tested one
    text = text_of(page_of(search))
    assert f"The best trial: {other}" in text
    assert "It has not been tested." in text
    (search / BEST_TRIAL_FILE).unlink()
    for run in search.glob("trial-*"):
        change(run, without="test/")
    text = text_of(page_of(search))
    assert "It has not been tested." in text
    assert "There are no test scores: a search uses the test rows only for its best trial. Validation" in text
    for name in DONE:
        change(search / name, status="running")
    assert "None of them has finished." in text_of(page_of(search))


def test_the_page_of_another_trial_says_why_it_is_not_tested(search: Path) -> None:
    pruned = f"trial-{STATUSES.index('pruned'):04d}"
    for trial, reason in (
        (DONE[-1], "a search uses the test rows only for its best trial"),
        (pruned, "a search stopped this trial early"),
    ):
        change(search / trial, without="test/")
        config = search / trial / "config.yaml"
        config.write_text(re.sub(r"(?m)^figures: .*$", "figures: auto", config.read_text()))
        text = text_of(page_of(search / trial))
        assert all(f"{part}: {reason}." in text for part in ("no test scores", "no figures"))
