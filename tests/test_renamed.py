"""Keyword arguments under their old names: they work, and warn where the call stands."""

import inspect

import pytest

from minigrad.checks import renamed

pytestmark = pytest.mark.on_host


@renamed(jobs="n_jobs", workers="executor")
def work(item, *, n_jobs=1, executor=None):
    """What work does."""
    return item, n_jobs, executor


class Thing:
    @renamed(n="num_features")
    def __init__(self, num_features):
        self.num_features = num_features


def test_new_names_work_without_a_warning():
    assert work(3, n_jobs=2, executor="loky") == (3, 2, "loky")
    assert Thing(4).num_features == Thing(num_features=4).num_features == 4


def test_old_names_work_and_warn_at_the_call():
    with pytest.warns(DeprecationWarning, match="is now called") as caught:
        assert work(3, jobs=2, workers="dask") == (3, 2, "dask")
    assert [str(warning.message) for warning in caught] == [
        "jobs= is now called n_jobs=: write n_jobs=2",
        "workers= is now called executor=: write executor='dask'",
    ]
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(DeprecationWarning, match="write num_features=5") as caught:
        assert Thing(n=5).num_features == 5
    assert caught[0].filename == __file__


def test_old_and_new_together_are_refused():
    with pytest.raises(TypeError, match="jobs= is the old name of n_jobs=: give n_jobs= alone"):
        work(3, jobs=2, n_jobs=2)


def test_an_unknown_name_is_an_error_as_before():
    with pytest.raises(TypeError, match="unexpected keyword argument 'job'"):
        work(3, job=2)


def test_help_shows_the_new_names_only():
    assert list(inspect.signature(work).parameters) == ["item", "n_jobs", "executor"]
    assert work.__doc__ == "What work does."
