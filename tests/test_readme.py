"""What the README says is so."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

from minigrad import cli

pytestmark = pytest.mark.on_host
README = (ROOT / "README.md").read_text()


def test_the_table_has_every_lesson_with_its_question_and_time():
    rows = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| (.+?) \| (.+?) \|$", README, re.MULTILINE)
    assert [(title, path) for title, path, _, _ in rows] == [
        (lesson.title, f"lessons/{lesson.path.name}") for lesson in cli.lessons()
    ]
    for (_, _, _, usual), lesson in zip(rows, cli.lessons(), strict=True):
        assert lesson.time.startswith(usual)


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target


def test_the_two_commands_stand_as_they_are_run():
    commands = re.findall(r"^    (.*)$", README, re.MULTILINE)
    assert "python -m pip install -e . && minigrad run all --quick" in commands
    assert 'python -m pip install -e ".[test]" && python -m pytest' in commands


def test_the_example_runs_and_learns(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MINIGRAD")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    accuracy = re.fullmatch(r"test accuracy ([\d.]+)\s*", done.stdout)
    assert accuracy, done.stdout
    assert float(accuracy[1]) > 0.9
