"""What `import minigrad` and the bare command import: nothing that only some programs use."""

import pytest
from conftest import python

import minigrad as mg

pytestmark = pytest.mark.on_host
LATER = "matplotlib jinja2 joblib threadpoolctl tqdm pooch multiprocessing concurrent logging dask"
LATER += " IPython"
MODULES = "asynchronous functions gradcheck search plots lesson cli".split()
FOUND = f"""
loaded = set(sys.modules) - before
print(sorted(loaded & set({LATER.split()})))
print(sorted(name for name in {MODULES} if "minigrad." + name in loaded))
"""


def test_an_import_leaves_for_later_what_only_some_programs_use():
    done = python(f"import sys\nbefore = set(sys.modules)\nimport minigrad\n{FOUND}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_so_does_the_command(arguments):
    code = f"""
        import sys
        before = set(sys.modules)
        from minigrad.cli import main
        try:
            main({arguments})
        except SystemExit:
            pass
    """
    lines = python("\n".join(line[8:] for line in code.split("\n")) + FOUND).stdout.splitlines()
    assert lines[-2:] == ["[]", "['cli', 'gradcheck']"]
    assert len(lines) > 10


def test_what_is_left_for_later_is_there_when_it_is_asked_for():
    done = python("""
        import minigrad as mg
        names = set(dir(mg))
        assert set(mg.__all__) | set(mg.LATER) <= names, set(mg.__all__) - names
        print(mg.search.grid.__name__, mg.gradcheck.check.__name__, mg.asynchronous.fit.__name__)
        print(mg.functions.Beale.__name__, mg.plots.curves.__name__)
        try:
            mg.nothing
        except AttributeError as error:
            print(error)
    """)
    assert done.stdout.splitlines() == [
        "grid check fit",
        "Beale curves",
        "module 'minigrad' has no attribute 'nothing'",
    ], done.stderr


def test_star_brings_every_public_name():
    names: dict = {}
    exec("from minigrad import *", names)
    assert set(mg.__all__) <= set(names)
