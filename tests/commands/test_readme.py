"""The README's commands, as written, in a copy of the project."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ROOT, Ended

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
TABLE = re.findall(r"^\| [^|]+ \| `(uv run [^`]+)` \|$", README, re.MULTILINE)
COMMANDS = [
    command for command in BLOCKS + TABLE if " tensorboard " not in command and "pytest" not in command
]

MY_CSV = "area,rooms,price\n" + "".join(f"{50 + 3 * i},{1 + i % 5},{90 + 7 * i}\n" for i in range(60))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files and a table of the user's; the environment is the one that the tests run in."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("conf", "scripts", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "my.csv").write_text(MY_CSV)
    (wide,) = re.findall(r"```python\n# mynets.py\n(.*?)```", README, re.DOTALL)
    (folder / "mynets.py").write_text(wide)
    return folder


def test_the_readme_opens_with_the_two_commands() -> None:
    assert BLOCKS[:2] == ["uv run scripts/train.py", "uv run pytest"]
    assert len(COMMANDS) >= 10


USES = [command for command in COMMANDS if "outputs" in command]
(SWEEP,) = (command for command in COMMANDS if "name=sweep" in command)
ALONE = [command for command in COMMANDS if command not in (SWEEP, *USES)]
SIMPLE = [command for command in ALONE[1:] if re.fullmatch(r"uv run scripts/\w+\.py( [^$]*)?", command)]
"""Those that need no shell. A process takes seconds to start, so that these run in this one."""
(EXAMPLE,) = re.findall(r"```python\n(import mlplab\n.*?)```", README, re.DOTALL)


def run(clone: Path, command: str) -> str:
    """What a command prints that must end well."""
    here = {"UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_NO_SYNC": "1", "UV_FROZEN": "1", "COLUMNS": "400"}
    done = subprocess.run(
        command,
        shell=True,
        cwd=clone,
        env={**os.environ, **here},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


pytestmark = [
    pytest.mark.skipif(not shutil.which("uv"), reason="the README's commands need uv"),
    pytest.mark.skipif(sys.platform == "win32", reason="the README's commands are for a POSIX shell"),
]


@pytest.mark.parametrize("command", [command for command in ALONE if command not in SIMPLE])
def test_a_command_works_as_written(clone: Path, command: str) -> None:
    printed = run(clone, command)
    if "--" not in command:
        assert "tensorboard --logdir outputs/" in printed.splitlines()[-1]


@pytest.mark.parametrize("command", SIMPLE)
def test_a_simple_command_works_as_written(
    run_script: Callable[..., Ended], tmp_path: Path, command: str
) -> None:
    (tmp_path / "my.csv").write_text(MY_CSV)
    _, _, script, *arguments = shlex.split(command)
    ended = run_script(Path(script).stem, *arguments)
    assert ended.status == 0, ended
    if "--" not in command and "train.py" in command:
        assert "tensorboard --logdir outputs/" in ended.out.splitlines()[-1]
    if "experiment=" in command and "article" not in command:  # it says that the network earns its keep
        (metrics,) = (json.loads(path.read_text()) for path in tmp_path.glob("outputs/*/metrics.json"))
        baselines = (metrics[f"{name}/test/rmse"] for name in ("ridge", "mean"))
        assert metrics["test/rmse"] < 0.6 * min(baselines)


def test_a_sweep_and_what_is_done_with_it(clone: Path) -> None:
    run(clone, SWEEP)
    printed = {command.split()[2]: run(clone, command) for command in USES if "results" not in command}
    assert "their ensemble" in printed["scripts/evaluate.py"]
    assert len((clone / "predictions.csv").read_text().splitlines()) == 1031
    assert "tensorboard --logdir outputs/" in printed["scripts/train.py"]
    assert "0.001" in run(clone, "uv run scripts/results.py outputs")
    (clone / "example.py").write_text(EXAMPLE)
    assert "cement" in run(clone, "uv run python example.py")


def test_a_mistake_is_told_as_the_readme_says(run_script: Callable[..., Ended], tmp_path: Path) -> None:
    (said,) = re.findall(r"```text\n(error: houses.csv.*?)```", README, re.DOTALL)
    sizes = ["?" if row == 15 else str(50 + row) for row in range(40)]
    (tmp_path / "houses.csv").write_text("size,price\n" + "".join(f"{each},{each}1\n" for each in sizes))
    (tmp_path / "houses.csv").write_text((tmp_path / "houses.csv").read_text().replace("?1", "651"))
    ended = run_script("train", "data=csv", "data.path=houses.csv", "data.target=price")
    assert (ended.status, ended.err) == (2, said)


def test_the_data_function_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlplab.data.synthetic import functions as synthetic

    monkeypatch.setattr(synthetic, "FUNCTIONS", dict(synthetic.FUNCTIONS))
    (source,) = re.findall(r"```python\n(@register.*?)```", README, re.DOTALL)
    exec(source, vars(synthetic) | {})
    frame = synthetic.draw("saddle", rows=5, features=None, noise=0.0, seed=0)
    x1, x2, y = (frame[name].to_numpy() for name in ("x1", "x2", "target"))
    assert y == pytest.approx(x1**2 - x2**2)
