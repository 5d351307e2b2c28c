"""A closed output, a full disk, a file in the way: each ends in one line, without a traceback."""

import errno
import os
import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT

from minigrad import cli, exercises, files, printing
from minigrad.lesson import start

pytestmark = [
    pytest.mark.on_host,
    pytest.mark.skipif(os.name != "posix", reason="pipes and /dev/full as on POSIX"),
]
LESSON = ROOT / "lessons" / "03_gradient_descent.py"
MINIGRAD = [sys.executable, "-m", "minigrad"]


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MINIGRAD")}
    return kept | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"} | more


def until_first_line(command, folder, **more):
    """(exit status, standard error) of `command | head -1`."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**more),
    )
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read().decode()
    process.stderr.close()
    return process.wait(), error


def into_full(command, folder, **more):
    """(exit status, standard error) of `command > /dev/full`."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command,
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(**more),
            check=False,
        )
    return done.returncode, done.stderr.decode()


def chatty(tmp_path):
    """A lesson that prints more than a pipe holds."""
    script = tmp_path / "99_chatty.py"
    script.write_text(
        "from minigrad.lesson import start\n"
        "lesson = start('99_chatty')\n"
        "for i in range(50_000):\n"
        "    print('line', i)\n"
        "lesson.finish()\n"
    )
    return script


PRINTING = (["list"], ["--help"], ["run", "--help"], ["exercise", "05"], ["run", "03", "-h"])


@pytest.mark.parametrize("options", PRINTING, ids=" ".join)
def test_a_reader_that_leaves_is_no_error(options, tmp_path):
    status, error = until_first_line([*MINIGRAD, *options], tmp_path)
    assert status in (0, printing.CLOSED)
    assert error == ""


def closed_before(command, folder, **more):
    """(exit status, standard error) of a command whose output nobody reads from the beginning."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(**more),
        check=False,
    )
    os.close(writing)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_closed_from_the_beginning(unbuffered, tmp_path):
    for options in (["list"], ["exercise", "05"]):
        found = closed_before([*MINIGRAD, *options], tmp_path, PYTHONUNBUFFERED=unbuffered)
        assert found == (printing.CLOSED, ""), options
    found = closed_before([*MINIGRAD, "--help"], tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert found[0] in (0, printing.CLOSED)
    assert found[1] == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_lesson_whose_reader_leaves(unbuffered, tmp_path):
    command = [*MINIGRAD, "run", "03", "--quick", "--out", str(tmp_path / "out")]
    found = closed_before(command, tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert found == (printing.CLOSED, "")
    command = [sys.executable, str(chatty(tmp_path))]
    found = until_first_line(command, tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert found == (printing.CLOSED, "")


def test_all_lessons_end_with_their_reader(monkeypatch):
    ran = []
    monkeypatch.setattr(cli, "_run_script", lambda path, options: ran.append(path) or 141)
    assert cli.main(["run", "all"]) == 141
    assert len(ran) == 1


def test_exercises_whose_reader_leaves(tmp_path):
    command = [sys.executable, str(ROOT / "lessons" / "exercises" / "03_gradient_descent.py")]
    assert closed_before(command, tmp_path) == (printing.CLOSED, "")
    assert closed_before(command, tmp_path, PYTHONUNBUFFERED="1") == (printing.CLOSED, "")


def test_ctrl_c_when_the_reader_has_gone(tmp_path):
    """Ctrl-C in `minigrad run 05 | tee log` ends both. What was measured is still written."""
    script = tmp_path / "script.py"
    script.write_text(
        "from minigrad.lesson import start\nlesson = start('05_first_network')\n"
        "lesson.record('loss', [1.0])\nraise KeyboardInterrupt\n"
    )
    command = [sys.executable, str(script), "--out", str(tmp_path / "out")]
    assert closed_before(command, tmp_path) == (printing.CLOSED, "")
    assert '"interrupted": true' in (tmp_path / "out" / "results.json").read_text()


FULL = "cannot write to the standard output: the disk is full\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_to_a_full_disk(unbuffered, tmp_path):
    more = {"PYTHONUNBUFFERED": unbuffered}
    assert into_full([*MINIGRAD, "list"], tmp_path, **more) == (2, f"minigrad: {FULL}")
    assert into_full([*MINIGRAD, "exercise", "05"], tmp_path, **more) == (2, f"minigrad: {FULL}")
    command = [sys.executable, str(LESSON), "--quick", "--out", str(tmp_path / "out")]
    assert into_full(command, tmp_path, **more) == (2, f"{LESSON.stem}: {FULL}")


def test_an_output_that_is_closed_is_no_error(tmp_path):
    done = subprocess.run(
        ["sh", "-c", '"$0" -m minigrad list >&-', sys.executable],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_other_errors_keep_their_traceback(tmp_path, capsys):
    assert printing.ended(ValueError("no"), "here") is None
    assert printing.ended(FileNotFoundError(errno.ENOENT, "No such file", "x"), "here") is None
    assert printing.ended(BrokenPipeError(errno.EPIPE, "a process has gone"), "here") is None
    script = tmp_path / "script.py"
    script.write_text(
        "from minigrad.lesson import start\nstart('05_first_network')\nopen('none')\n"
    )
    command = [sys.executable, str(script), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "FileNotFoundError" in done.stderr


# A full disk: no file may become larger than 2,000 bytes. The system says then "file too large".
SMALL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"


def in_a_small_place(code, folder):
    done = subprocess.run(
        [sys.executable, "-c", SMALL + textwrap.dedent(code)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    return done.returncode, done.stderr


def test_a_figure_on_a_full_disk(tmp_path):
    code = """
        from minigrad.lesson import start
        lesson = start("05_first_network", argv=["--out", "out"])
        import matplotlib.pyplot as plt
        figure, ax = plt.subplots()
        lesson.save(figure, "loss")
    """
    status, error = in_a_small_place(code, tmp_path)
    assert status == 2, error
    assert error.endswith("cannot write out/loss.png: File too large\n")
    assert "Traceback" not in error
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["checkpoints"]


def test_results_on_a_full_disk(tmp_path):
    code = """
        from minigrad.lesson import start
        lesson = start("05_first_network", argv=["--out", "out"])
        lesson.record("many", list(range(5000)))
        lesson.finish()
    """
    status, error = in_a_small_place(code, tmp_path)
    assert status == 2, error
    assert error.endswith("cannot write out/results.json: File too large\n")
    assert "Traceback" not in error
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["checkpoints"]


def test_an_exercise_on_a_full_disk(tmp_path):
    code = "import sys\nfrom minigrad.cli import main\nsys.exit(main(['exercise', '05']))\n"
    status, error = in_a_small_place(code, tmp_path)
    assert status == 2
    assert error == (
        "minigrad: cannot write my_05.py (File too large): "
        "change to a folder that you may write to\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_creating_leaves_no_half_file_and_overwrites_none(tmp_path):
    path = tmp_path / "my_05.py"
    with pytest.raises(TypeError), files.creating(path) as file:
        file.writelines([b"half", None])
    assert not path.exists()
    with files.creating(path) as file:
        file.write(b"mine")
    with pytest.raises(FileExistsError), files.creating(path) as file:
        file.write(b"other")
    assert path.read_bytes() == b"mine"


def test_a_failed_write_names_the_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught, files.replacing(tmp_path / "a"):
        pass
    assert caught.value.filename == str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_a_command_is_one_line(monkeypatch, capfd):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.mnist, "find", interrupted)
    assert cli.main(["data", "mnist"]) == 130
    assert capfd.readouterr().err == "minigrad: interrupted\n"


CONTENTS = ["[]", "null", "1", "{}", '"x"', "", "{", "[" * 100_000, '{"lesson": null}', "\0"]


@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
def test_a_results_json_that_is_none(content, tmp_path, capfd):
    (tmp_path / "results.json").write_text(content)
    refused(tmp_path, capfd)
    assert (tmp_path / "results.json").read_text() == content


def refused(out, capfd):
    with pytest.raises(SystemExit) as caught:
        start("05_first_network", "", ["--out", str(out)])
    assert caught.value.code == 2
    err = capfd.readouterr().err
    assert err.startswith("minigrad run 05: error: argument --out: ")
    assert err.count("\n") == 1
    return err


def test_a_results_json_that_cannot_be_read(tmp_path, capfd, monkeypatch):
    (tmp_path / "not utf-8").mkdir()
    (tmp_path / "not utf-8" / "results.json").write_bytes(b'{"lesson": "\xe9"}')
    refused(tmp_path / "not utf-8", capfd)
    (tmp_path / "folder" / "results.json").mkdir(parents=True)
    refused(tmp_path / "folder", capfd)
    (tmp_path / "file").write_text("")
    assert "a file of that name is there" in refused(tmp_path / "file", capfd)
    refused(tmp_path / "file" / "below", capfd)
    refused("/proc/none", capfd)
    refused(tmp_path / ("x" * 300), capfd)


def test_a_folder_with_a_name_that_is_not_utf_8(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from minigrad.lesson import start\nlesson = start('05_first_network')\nlesson.finish()\n"
    )
    out = os.fsencode(tmp_path) + b"/caf\xe9"
    command = [os.fsencode(sys.executable), os.fsencode(script), b"--out", out]
    more = {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, env=environment(**more), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"results in " + out + b"\n")


def test_a_solution_under_another_name(tmp_path):
    with pytest.raises(ValueError, match="mine.py: its name must end in the lesson's number"):
        exercises.checks_of(str(tmp_path / "mine.py"))
    assert set(exercises.checks_of(str(tmp_path / "solution_05.py"))) == {"1", "2", "3"}
