"""report.py: what its page contains, and what it leaves out."""

import json
import logging
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from pages import cells_of, page_of, text_of
from searches import change
from support import SMALL, Ended, assert_short_answer, train_into, write_config

from mlplab.commands.importance import ColumnImportance, Importance
from mlplab.commands.report.comparison import compared
from mlplab.commands.report.report import chart_script, report
from mlplab.commands.report.run import columns_table, figures_of
from mlplab.commands.report.runs import comparison_charts
from mlplab.data.schema import Schema
from mlplab.errors import UserError
from mlplab.figures.files import write_figures
from mlplab.figures.style import Figure
from mlplab.files import read_json
from mlplab.runs.compare.run_result import read_run
from mlplab.runs.discovery import runs_below
from mlplab.typed_commands import commands_as_typed

pytestmark = pytest.mark.usefixtures("without_script_of_charts", "quick_images")

Command = Callable[..., Ended]

PLAIN = [word for word in SMALL if not word.startswith("baselines")]
LINEAR = (*PLAIN, "baselines=[constant,linear]")
CLASSES = (*PLAIN, "data.function=blobs", "baselines=[constant]")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logging.getLogger("mlplab").setLevel(logging.INFO)
    folder = tmp_path_factory.mktemp("trained")
    lrs = (0.0001, 0.001, 0.01)
    members = [[*LINEAR, f"optimizer.lr={lr}", f"seed={seed}"] for lr in lrs for seed in (0, 1)]
    train_into(folder / "sweep", *members)
    train_into(folder / "classes", CLASSES)
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A folder with a sweep and a run of classes."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def specifications(html: str) -> list[dict[str, Any]]:
    scripts = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    return list(map(json.loads, scripts))


def write_importance(folder: Path, column: str, runs: Sequence[str]) -> None:
    columns = (ColumnImportance(column, 0.5, 0.25),)
    importance = Importance("x, test rows", "test", ("y",), "rmse", 2.5, 9, 9, 5, columns, tuple(runs))
    (folder / "importance.json").write_text(json.dumps(asdict(importance)))


def write_run(folder: Path, status: str = "done", **config: Any) -> None:
    folder.mkdir(parents=True)
    defaults = {"name": "x", "seed": 0, "data": {"name": "concrete"}, "monitor": "val/mae"}
    write_config(folder, defaults | config)
    (folder / "metrics.json").write_text(json.dumps({"status": status}))


def test_a_run_has_all_parts(here: Path) -> None:
    run = here / "sweep/0"
    charts = {name: alt.Chart({"values": []}).mark_point() for name in ("other", "residuals")}
    write_figures(run, charts)
    write_importance(run, "x1", ["0"])
    change(run, **{"constant/test/rmse": 1e9, "linear/test/rmse": 1e-9})
    with (run / "train.log").open("a") as log:
        log.write("2026-01-01 00:00:00  warning: watch out\n")
    schema = json.loads((run / "schema.json").read_text())
    (run / "schema.json").write_text(json.dumps(schema | {"left_out": {"id": "is an identifier"}}))
    (run / "film.html").touch()
    page = page_of(run)
    assert 'href="film.html"' in page
    head, *_, last = cells_of(page, "7 columns, 1 of them left out")
    assert head == ["column", "role", "kind", "note"]
    assert last == ["id", "left out", "", "is an identifier"]
    text = text_of(page)
    assert text.index("left out") < text.index("Result")
    score = f"{json.loads((run / 'metrics.json').read_text())['test/rmse']:.4g}"
    for part in (
        *("friedman1 → target (numbers)", "60 rows, 5 columns", "2 × 8 units (silu)", "this network", score),
        "By test RMSE, the network is better than the mean, but is no better than ridge regression.",
        *("Loss", "val/mae", "watch out"),
        *("x1", "Increase of rmse (2.5)", "0.5", "0.25"),
        *("git commit", "torch", "seed", "max_epochs: 5"),
    ):
        assert part in text


def test_many_categories_are_not_named(here: Path) -> None:
    schema = Schema.from_plain(read_json(here / "sweep/0/schema.json"))
    categories = tuple(f"Person {k}" for k in range(21))
    people = replace(schema.inputs[0], kind="categorical", categories=categories)
    assert "Person" not in str(columns_table(replace(schema, inputs=(people, *schema.inputs[1:]))))
    few = replace(people, categories=categories[:20])
    assert "Person" in str(columns_table(replace(schema, inputs=(few, *schema.inputs[1:]))))


def test_a_sweep_marks_the_best_by_validation_and_never_by_test(here: Path) -> None:
    for run in (here / "sweep").iterdir():
        change(run, **{"val/mae": 5.0, "test/rmse": 5.0, "test/mae": 5.0})
    change(here / "sweep/2", **{"val/mae": 1.0, "test/rmse": 9.0})
    change(here / "sweep/3", **{"val/mae": 2.0, "test/rmse": 9.0})
    change(here / "sweep/5", **{"val/mae": 0.9, "test/rmse": 0.1})  # alone: its configuration is not the best
    (here / "sweep/2/film.html").touch()
    html = page_of(here / "sweep")
    text = text_of(html)
    assert "6 runs: 6 done. The best by val/mae is 2 (1), chosen on the validation rows." in text
    assert "The best run: 2" in text
    best = re.findall(r'<tr class="best"><th scope="row"[^>]*>(\d)</th>', html)
    assert best == ["2", "3"]
    assert "9 ± 0" not in text
    assert "mean ± SD over 2 seeds" in text
    assert 'href="2/film.html"' in html
    charts = [chart.to_dict() for chart in charts_of(here / "sweep")]  # validates
    assert [chart["title"]["text"] for chart in charts] == ["val/mae over lr", "val/mae of every run"]
    assert [point["run"] for point in charts[0]["data"]["values"] if point["best"]] == ["2"]
    assert charts_of(here / "sweep/0") == []


def charts_of(folder: Path) -> list[Figure]:
    [comparison] = compared(folder, [read_run(run) for run in runs_below(folder)])
    return comparison_charts(comparison)


def test_views_that_a_figure_puts_together_are_drawn_apart(tmp_path: Path) -> None:
    views = [{"title": title, "mark": "point", "width": 200} for title in ("left", "right")]
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/two.vl.json").write_text(json.dumps({"hconcat": views, "description": "both"}))
    drawn = figures_of(tmp_path)["two"]
    assert drawn == [{**view, "description": "both"} for view in views]


def test_runs_on_different_tables_are_different_parts(here: Path) -> None:
    html = page_of(here)
    assert html.count("<h1>") == 1
    assert ">blobs → target (classes)</a>" in html
    assert ">friedman1 → target (numbers)</a>" in html
    assert "2 different tables or targets" in html
    levels = list(map(int, re.findall(r"<h(\d)", html)))
    assert all(below - above <= 1 for above, below in pairwise(levels))


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
    assert "<b>bold" not in html
    assert "<script>alert" not in html
    assert html.count("<script") == html.count("</script>") == len(re.findall(r"<script[ >]", html))
    assert evil in unescape(html)
    assert any(evil in json.dumps(chart) for chart in specifications(html))


def test_a_page_asks_nothing_of_the_network(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplab.commands.report.report.chart_script", chart_script)
    html = page_of(here / "sweep")
    assert "default-src 'none'" in html
    assert "window.vegaEmbed=" in html
    without_scripts = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(link|img|iframe|object)\b|<script[^>]* src=", without_scripts)
    assert len(html) < 5e6


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    write_run(tmp_path / "r", "diverged")
    change(tmp_path / "r", reason="the loss is not finite")
    text = text_of(page_of(tmp_path / "r"))
    assert "Status: diverged: the loss is not finite" in text
    for part in ("no test scores", "no curves", "no figures"):
        assert part in text


def test_absent_files_are_explained_with_the_remedy(here: Path) -> None:
    run = here / "sweep/0"
    for path in run.rglob("events.out.*"):
        path.unlink()
    text, config = text_of(page_of(run)), run / "config.yaml"
    config.write_text(re.sub(r"(?m)^figures: .*$", "figures: auto", config.read_text()))
    for remedy in ("logger=[tensorboard]", "importance=true", "with figures=none."):
        assert remedy in text
    assert commands_as_typed("There are no figures: mlplab train resume=FOLDER draws them.") in text_of(
        page_of(run)
    )


def test_a_damaged_event_file_is_read_up_to_the_damage(here: Path) -> None:
    run = here / "sweep/0"
    (events,) = run.rglob("events.out.*")
    events.write_bytes(events.read_bytes()[:-20])
    shutil.copy(events, events.with_name("events.out.tfevents.9"))  # a resumed run has several
    assert "train/loss" in json.dumps(specifications(page_of(run)))
    events.write_bytes(b"nonsense")
    events.with_name("events.out.tfevents.9").unlink()
    assert "no curves" in text_of(page_of(run))


def test_unreadable_runs_are_left_out_with_a_sentence(here: Path, run_script: Command) -> None:
    (here / "sweep/0/metrics.json").write_text('{"status": "do')
    config = here / "sweep/1/config.yaml"
    config.write_text(config.read_text().replace("# mlplab 1.", "# mlplab 99."))
    ended = run_script("report", "sweep")
    assert ended.status == 0, ended
    assert re.fullmatch(r"sweep/report.html \(\d\.\d MB\)\n", ended.out)
    assert "sweep/0/metrics.json: is damaged" in ended.err
    assert "which this version" in ended.err
    html = (here / "sweep/report.html").read_text()
    assert "sweep/0/metrics.json: is damaged" in html
    assert "4 runs: 4 done" in html


def test_mistakes_are_explained(here: Path, run_script: Command) -> None:
    assert_short_answer(run_script("report", "nowhere"), ["nowhere", "no such folder"])
    assert_short_answer(run_script("report", "sweep/0/metrics.json"), ["is a file, not a folder"])
    (here / "sweep/0/metrics.json").write_text("[]")
    assert_short_answer(run_script("report", "sweep/0"), ["is damaged"])
    assert not (here / "sweep/0/report.html").exists()


def test_of_many_runs_the_page_shows_the_first_and_draws_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlplab.commands.report import runs

    for number in range(230):
        write_run(tmp_path / str(number), seed=number, optimizer={"lr": number + 1})
        change(tmp_path / str(number), **{"val/mae": number + 1, "test/rmse": 1.0})
    read = list[Path]()
    monkeypatch.setattr(runs, "read_curves", lambda run, *_: read.append(run) or {})
    html = page_of(tmp_path)
    assert len(read) == 200
    assert "curves of the best 200 runs by val/mae" in html
    assert len(re.findall(r"<tr[ >].*?>done</td></tr>", html)) == 230


def test_odd_values_and_repeats_are_not_fatal(here: Path) -> None:
    shutil.copytree(here / "sweep/0", here / "sweep/copy")
    odd = {"members": "x", "best_epoch": None, "seconds": [], "linear/test/rmse": None, "test/mae": "high"}
    for number in range(6):
        change(here / f"sweep/{number}", **odd, reason=5)
    change(here / "sweep/1", status="failed", **{"test/rmse": None, "val/mae": None})
    text = text_of(page_of(here / "sweep"))
    assert "this network" in text
    assert "6 runs: 5 done, 1 failed" in text
    assert "same configuration and seed as another run: 1." in text


def test_a_folder_without_permission_is_a_short_message(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("mlplab.commands.report.report.replacing", refuse)
    with pytest.raises(UserError, match=r"report.html: cannot be written: Permission denied"):
        report(here / "sweep")


def test_importance_of_a_sweep_is_shown_where_its_runs_are(here: Path) -> None:
    shutil.copytree(here / "classes/0", here / "sweep/z0")
    write_importance(here / "sweep", "x3", ["2", "3"])
    write_figures(here / "sweep", {"importance": alt.Chart(alt.Data(values=[])).mark_bar()})
    numbers, classes = page_of(here / "sweep").split('<div class="part" id="part-')[1:]
    assert "By test log loss" in classes
    assert "Increase of rmse (2.5)" in numbers
    assert "Of 2 runs (2, 3); x, test rows: 9 rows, each column shuffled 5 times." in numbers
    assert "<strong>Importance</strong>" in numbers
    assert "Of 2 runs" not in classes
    write_importance(here / "sweep", "x3", ["another"])
    assert "Of 1 run" not in page_of(here / "sweep")
    (here / "sweep/importance.json").write_text('{"metric": "rmse", "columns": [{}]}')
    assert "Increase of rmse" not in page_of(here / "sweep")
