"""README and docs: their commands and examples run as written, their links lead somewhere."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from commands.mistakes import Command
from support import CONCRETE, ROOT, config

from mlplab.composition.overrides import read_overrides
from mlplab.config.dotted_keys import flat

Run = Callable[[str], str]

PAGES = {path: path.read_text("utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
README, TABLES = PAGES[ROOT / "README.md"], PAGES[ROOT / "docs/tables.md"]
TEXT = "\n".join(PAGES.values())


def commands_in(text: str) -> list[str]:
    """The commands in blocks of code, and in the last cells of tables."""
    blocks = [line for code in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in code.splitlines()]
    cells = re.findall(r"\| `(uv run [^`]+)` \|$", text, re.MULTILINE)
    other_programs = " tensorboard | pytest|screenshots"
    return [each for each in dict.fromkeys(blocks + cells) if not re.search(other_programs, each)]


COMMANDS, OF_README = commands_in(TEXT), commands_in(README)
OF_NAMED_RUNS = [command for command in COMMANDS if re.search("outputs| name=", command)]
OF_NAMED_RUNS.sort(key=lambda command: " name=" not in command)  # stable: runs before their uses
OTHERS = [command for command in COMMANDS[1:] if command not in OF_NAMED_RUNS]
TRAINING = [command for command in COMMANDS if "scripts/train.py" in command and "--" not in command]
PYTHON = re.findall(r"```python\n(import mlplab\n.*?)```", TEXT, re.DOTALL)
OWN_FILE = r"```yaml\n((?:#[^\n]*\n)*?# (conf/\S+): mlplab train (\S+)\n.*?)```"
"""A file of the user's: its path, the words that use it, and its content."""
SHORT = "trainer.max_epochs=2"
MY_MODULES = dict(re.findall(r"```python\n# (my\w+.py)\n(.*?)```", TEXT, re.DOTALL))

pytestmark = [
    pytest.mark.skipif(not shutil.which("uv"), reason="the commands need uv"),
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
]


def write_houses(path: Path, rows: int) -> None:
    lines = ["id,size,rooms,kind,sold,price"]
    for row in range(rows):
        size, rooms, kind = 40 + row * 53 % 181, 1 + row * 7 % 8, ("flat", "house", "studio")[row % 5 % 3]
        sold = date(2015, 1, 1) + timedelta(days=row * 1009 % 3650)
        price = 1500 * size + 12000 * rooms + 800 * (sold.year - 2015) + row * 37 % 101
        lines.append(f"H{row:05},{size if row % 24 else ''},{rooms},{kind},{sold:%d.%m.%Y},{price}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def run(succeed: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in this process, next to the files that the commands name, and returns its output."""
    write_houses(tmp_path / "houses.csv", 240)
    write_houses(tmp_path / "my.csv", 30)
    for name, content in MY_MODULES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "src/mlplab/data").mkdir(parents=True)
    for name in ("concrete", "penguins"):
        shutil.copy(CONCRETE.with_name(f"{name}.csv"), tmp_path / "src/mlplab/data")

    def run(command: str) -> str:
        variables, _, words = re.sub("^mlplab ", "uv run ", command).partition("uv run ")
        for name, value in (each.split("=") for each in variables.split()):
            if name == "PYTHONPATH":
                monkeypatch.syspath_prepend(str(tmp_path / value))
            else:
                monkeypatch.setenv(name, value)
        script, *arguments = shlex.split(words)
        return succeed(Path(script).stem, *arguments).out

    return run


def shortened(command: str) -> str:
    if "train.py" not in command or re.search("--|resume=", command):
        return command
    return f"{re.sub(' trainer.max_epochs=[0-9]+', '', command)} {SHORT}"


def test_the_readme_begins_with_the_two_commands() -> None:
    assert README.index("```sh\nuv run scripts/train.py") < README.index("uv run pytest")
    assert len(README.splitlines()) <= 160
    assert len(COMMANDS) >= 30


@pytest.mark.slow(ci=True)
def test_the_first_command_works_in_a_clone(tmp_path: Path) -> None:
    for name in ("conf", "scripts", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    here = {"UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_NO_SYNC": "1", "UV_FROZEN": "1"}
    shell = {"shell": True, "cwd": tmp_path, "env": {**os.environ, **here}, "timeout": 150}
    done = subprocess.run(shortened(COMMANDS[0]), capture_output=True, text=True, check=False, **shell)
    assert done.returncode == 0, done.stderr
    assert re.search("ensemble of 8(.*\n){2}.*gradient boosting.*\n.*ridge regression.*\n.*mean", done.stdout)
    assert done.stdout.splitlines()[-1].endswith("tensorboard --logdir outputs")


@pytest.mark.parametrize("command", TRAINING)
def test_keys_of_commands_exist(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAB_ALLOWED_CLASSES", "mynets.Wide,mylosses.LogCosh")
    words = shlex.split(command.partition("scripts/train.py")[2].partition("init_from")[0])
    parsed = read_overrides([word for word in words if word != "-m"], multirun=True)
    lines = [
        f"{each.key_or_group}={next(each.sweep_string_iterator())}"
        if each.is_choice_sweep()
        else str(each.input_line)
        for each in parsed
        if not (each.is_hydra_override() or each.is_interval_sweep() or each.is_range_sweep())
    ]
    config(*(line for line in lines if not line.startswith(("sweep", "resume"))))


@pytest.mark.parametrize(
    "command", [each for each in OTHERS if each in OF_README and not re.search("digits|kfold", each)]
)  # those have many baselines
def test_a_command_of_the_readme_works(run: Run, command: str) -> None:
    printed = run(shortened(command))
    if "train.py" in command and "--" not in command:
        assert "tensorboard --logdir outputs" in printed.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("command", OTHERS)
def test_a_command_works_as_written(run: Run, tmp_path: Path, command: str) -> None:
    run(command)
    if experiment := re.search("experiment=(digits|forecast|recommend)", command):
        # The page says that the baselines are beaten.
        (metrics,) = (json.loads(path.read_text()) for path in tmp_path.glob("outputs/*/metrics.json"))
        if experiment[1] == "digits":
            assert metrics["test/accuracy"] > max(0.975, metrics["boosting/test/accuracy"])
            assert metrics["test/log_loss"] < 0.8 * metrics["boosting/test/log_loss"]
        else:
            assert metrics["test/rmse"] < metrics["boosting/test/rmse"]
            others = (metrics[f"{name}/test/rmse"] for name in ("linear", "constant"))
            assert metrics["test/rmse"] < 0.6 * min(others)


@pytest.mark.parametrize(
    "as_written",
    [pytest.param(False, marks=pytest.mark.slow(ci=True)), pytest.param(True, marks=pytest.mark.slow)],
)
def test_named_runs_are_used(run: Run, capsys: pytest.CaptureFixture[str], as_written: bool) -> None:
    """Those of the README, or of all pages as they are written."""
    named = [command for command in OF_NAMED_RUNS if command in OF_README or as_written]
    printed = {command: run(command if as_written else shortened(command)) for command in named}
    assert sum(" name=" in command for command in named) >= 2
    assert "their ensemble" in printed["uv run scripts/evaluate.py run=outputs/sweep"]
    assert "best of 2" in printed["uv run scripts/results.py outputs"]
    assert len(Path("predictions.csv").read_text().splitlines()) == 1031
    assert not as_written or len(Path("species.csv").read_text().splitlines()) == 345
    for source in PYTHON:
        if as_written or "penguins" not in source:
            exec(source if as_written else re.sub('"max_epochs": [0-9]+', '"max_epochs": 2', source), {})
    assert re.search("ensemble of 8(.*\n)+1030 predictions", capsys.readouterr().out)


def test_a_table_is_described_as_the_page_shows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = re.findall(r"```text\n(houses.csv: .*?)```", TABLES, re.DOTALL)
    for name, value in {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "116", "LINES": "99"}.items():
        monkeypatch.setenv(name, value)  # a terminal of this width
    assert run("uv run scripts/describe.py data=csv data.path=houses.csv data.target=price") == shown


def test_a_fault_is_reported_as_the_page_shows(run_script: Command, tmp_path: Path) -> None:
    (shown,) = re.findall(r"```text\n(error: houses.csv.*?)```", TABLES, re.DOTALL)
    rows = [f"{'?' if row == 15 else 50 + row},{50 + row}1\n" for row in range(40)]
    (tmp_path / "houses.csv").write_text("size,price\n" + "".join(rows))
    ended = run_script("train", "data=csv", "data.path=houses.csv", "data.target=price")
    assert (ended.status, ended.err) == (2, shown)


@pytest.mark.parametrize(("content", "path", "words"), re.findall(OWN_FILE, TEXT, re.DOTALL))
def test_files_of_the_pages_change_a_run(succeed: Command, content: str, path: str, words: str) -> None:
    Path(path).parent.mkdir(parents=True)
    Path("conf/mlplab.yaml").touch()
    shipped = succeed("train", "--cfg", "job").out
    Path(path).write_text(content)
    ended = succeed("train", *words.split(), "--cfg", "job")
    assert ended.err == ""
    assert "  name: adam\n" in ended.out
    assert ended.out != shipped


def test_the_data_function_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlplab.data import synthetic as functions

    monkeypatch.setattr(functions, "FUNCTIONS", dict(functions.FUNCTIONS))
    (source,) = re.findall(r"```python\n(def saddle.*?)```", TEXT, re.DOTALL)
    exec(source, vars(functions) | {})
    frame = functions.draw("saddle", rows=5, features=None, noise=0.0, seed=0)
    x1, x2, y = (frame[name].to_numpy() for name in ("x1", "x2", "target"))
    assert y == pytest.approx(x1**2 - x2**2)


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    for page in (*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"):
        for link in re.findall(r"\]\((?!https:)([^)]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name}: {link}"
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
            anchors = [re.sub(r"[^\w\- ]", "", each).lower().replace(" ", "-") for each in headings]
            assert not anchor or anchor in anchors, f"{page.name}: {link}"


def test_every_path_in_backticks_exists() -> None:
    for page, text in PAGES.items():
        for path in re.findall(r"`(?:uv run )?((?:src|scripts|tests|conf)/[\w/.]*)[^`]*`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
    for folder in re.findall(r"`(\w[\w/]*/)`", PAGES[ROOT / "docs/architecture.md"]):
        assert (ROOT / folder).is_dir() or (ROOT / "src/mlplab" / folder).is_dir(), folder


def test_the_pages_name_the_keys_that_exist_and_no_others() -> None:
    keys = {"data.columns", "sweep.space", "hydra.launcher.engine.sbatch"}
    for path in (ROOT / "conf").rglob("*/*.yaml"):
        text = path.read_text(encoding="utf-8")
        group = ".".join(path.relative_to(ROOT / "conf").parent.parts)
        if group not in ("experiment", "hydra.help", "logger") and "# @package _global_" not in text:
            names = [key for key, _ in flat(yaml.safe_load(text))]
            of_runs = ("defaults", "space.") if group == "sweep" else ()
            keys |= {f"{group}.{key}" for key in names if not key.startswith(of_runs)}
    keys = {re.sub(r"(_factors)\.\w+", r"\1", key) for key in keys}  # whose groups are listed once
    choices = (".name", "._target_", "._recursive_", ".defaults")  # by group=option
    sections = "data|model|loss|optimizer|scheduler|trainer|callbacks|sweep|hydra\\.launcher"
    named = {*re.findall(rf"`((?:{sections})\.\w[\w.]*)", TEXT)}
    assert not {key for key in keys - named if not key.endswith(choices)}
    open_ended = ("data.columns.", "optimizer.lr_factors.", "model.md", "model.onnx")  # the last are files
    assert not {key for key in named - keys if not key.startswith(open_ended)}
