"""The report and the charts of a search."""

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import cells_of, page_of, text_of
from searches import STATUSES, change, train_search

from mlplab.commands.report.comparison import compared
from mlplab.commands.report.runs import comparison_charts
from mlplab.commands.select_ensemble import select_ensemble
from mlplab.figures.style import BASELINE
from mlplab.runs.compare.run_result import read_run
from mlplab.runs.discovery import BEST_TRIAL_FILE, runs_below

pytestmark = pytest.mark.usefixtures("without_script_of_charts")

KEYS = ["dropout", "lr", "weight_decay"]
DONE = [f"trial-{number:04d}" for number, status in enumerate(STATUSES) if status == "done"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logging.getLogger("mlplab").setLevel(logging.INFO)
    folder = tmp_path_factory.mktemp("trained") / "search"
    train_search(folder)
    return folder


@pytest.fixture
def search(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "search")
    return tmp_path / "search"


def best_of(search: Path) -> dict[str, Any]:
    best: dict[str, Any] = yaml.safe_load((search / BEST_TRIAL_FILE).read_text())
    return best


def charts_of(search: Path) -> dict[str, dict[str, Any]]:
    [comparison] = compared(search, [read_run(run) for run in runs_below(search)])
    charts = [chart.to_dict() for chart in comparison_charts(comparison)]  # validates
    return {chart["title"]["text"]: chart for chart in charts}


def titles(html: str) -> list[str]:
    return re.findall(r"<figcaption><strong>(.*?)</strong>", html)


def test_the_page_opens_on_the_best_trial_and_how_it_was_chosen(search: Path) -> None:
    best, html = best_of(search), page_of(search)
    text = text_of(html)
    assert text.index("val/mae over dropout") < text.index("All trials")
    assert text[text.index("The search") :].startswith(
        "The search 9 trials: 5 done, 2 pruned, 1 diverged, 1 failed. "
        f"The best by val/mae is {best['trial']} ({best['value']:.4g}), chosen on the validation rows. "
        "The search used the test rows once, to score it."
    )
    assert titles(html)[0] == "val/mae over dropout"
    assert f"The best trial: {best['trial']}" in text
    assert 'class="callout"' not in html
    assert re.search(f"Its configuration: .*lr={best['configuration']['optimizer.lr']:.4g}", text)
    head, first, *others = cells_of(html, "Scores of the best")
    assert head == ["model", "val MAE", "test RMSE", "test MAE", "test R²"]
    assert first[:3] == ["best trial", f"{best['value']:.4g}", f"{best['test']['rmse']:.4g}"]
    assert [row[0] for row in others] == ["ridge regression"]
    head, *rows = cells_of(html, "Best first by")
    assert head == ["trial", "dropout", "lr", "weight_decay", "val MAE", "epochs", "status"]
    ends = [*["done"] * 5, *["pruned"] * 2, "diverged: it has diverged", "failed: it has failed"]
    assert [row[-1] for row in rows] == ends
    assert rows[0][0] == best["trial"]
    scores = [float(row[4]) for row in rows[:5]]
    assert scores == sorted(scores)
    assert all(len(cell) <= 10 for row in rows for cell in row[1:4])  # sampled numbers are rounded


def test_charts_of_a_search(search: Path) -> None:
    charts = charts_of(search)
    over = [f"val/mae over {key}" for key in KEYS]
    assert list(charts) == [*over, "val/mae of every run"]
    dots = {**charts["val/mae over lr"], **charts["val/mae over lr"]["layer"][0]}["data"]["values"]
    assert {row["run"] for row in dots} == {*DONE}
    assert [row["run"] for row in dots if row["best"]] == [best_of(search)["trial"]]
    curves = charts["val/mae of every run"]["layer"][0]["transform"][0]["from"]["data"]["values"]
    faint = {run["name"] for run in curves if run["colour"] == BASELINE}
    assert faint == {f"trial-{n:04d}" for n, status in enumerate(STATUSES) if status == "pruned"}


def test_a_search_that_goes_on_shows_what_it_knows(search: Path) -> None:
    best = best_of(search)
    other = next(name for name in DONE if name != best["trial"])
    change(search / other, **{"val/mae": best["value"] / 2})  # a better trial than the tested one
    text = text_of(page_of(search))
    assert "It has not been tested." in text
    assert f"The best trial: {other}" in text

    (search / BEST_TRIAL_FILE).unlink()
    for run in search.glob("trial-*"):
        change(run, without="test/")
    html = page_of(search)
    text = text_of(html)
    assert "It has not been tested." in text
    assert re.search(r"The best by val/mae is trial-000\d \(", text)
    assert "There are no test scores: a search uses the test rows only for its best trial. Validation" in text
    assert titles(html)[0] == "val/mae over dropout"
    for name in DONE:
        change(search / name, status="running")
    assert "None of them has finished." in text_of(page_of(search))


def test_a_chosen_ensemble_stands_beside_the_best_trial(search: Path) -> None:
    best, chosen = best_of(search), select_ensemble(search, 3)
    _, first, second, *_ = cells_of(page_of(search), "Scores of the best")
    assert first[:2] == ["best trial", f"{best['value']:.4g}"]
    assert next(iter(chosen.weights)) == best["trial"]
    count = f"{len(chosen.weights)} run{'s' * (len(chosen.weights) > 1)}"
    assert second[:2] == [f"ensemble-3 ({count})", f"{chosen.chosen:.4g}"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("done", "a search uses the test rows only for its best trial"),
        ("pruned", "a search stopped this trial early"),
    ],
)
def test_the_page_of_another_trial_says_why_it_is_not_tested(search: Path, status: str, reason: str) -> None:
    names = [f"trial-{number:04d}" for number, ended in enumerate(STATUSES) if ended == status]
    trial = next(name for name in names if name != best_of(search)["trial"])
    config = search / trial / "config.yaml"
    config.write_text(re.sub(r"(?m)^figures: .*$", "figures: auto", config.read_text()))
    text = text_of(page_of(search / trial))
    for part in ("no test scores", "no figures"):
        assert f"{part}: {reason}." in text
    assert "Validation scores" in text
