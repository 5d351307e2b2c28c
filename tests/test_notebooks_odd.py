"""Notebooks whose process does not start, or would be another Python."""

import json

import pytest

nbformat = pytest.importorskip("nbformat", reason='it needs: pip install "minigrad[notebook]"')
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from minigrad.notebooks.execution import executed  # noqa: E402

pytestmark = pytest.mark.on_host


def test_the_kernel_is_this_python_and_one_that_does_not_start_is_a_fault(
    tmp_path, monkeypatch, capfd
):
    kernel = tmp_path / "share" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    spec = {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "", "language": ""}
    kernel.write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # of the new process alone
    found = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    fault = executed(found, tmp_path, "05_first_network").fault
    assert fault.startswith("no process could be started: Kernel died")
    capfd.readouterr()
