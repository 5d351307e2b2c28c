"""`threads.each`: what it does about devices, errors, Ctrl-C and nesting."""

import threading
import time

import pytest

from minigrad import threads

pytestmark = [pytest.mark.on_host, pytest.mark.usefixtures("threads_as_before")]


def test_not_parallel_all_items_run_in_order_on_the_calling_thread():
    threads.set_threads(3)
    seen = []

    def work(i):
        seen.append((i, threading.get_ident()))
        time.sleep(0.002)
        return i * i

    assert threads.each(work, range(6), parallel=False) == [0, 1, 4, 9, 16, 25]
    assert seen == [(i, threading.get_ident()) for i in range(6)]


def test_not_parallel_the_first_error_ends_it():
    threads.set_threads(3)
    seen = []

    def work(i):
        seen.append(i)
        if i == 2:
            raise ArithmeticError(f"item {i}")

    with pytest.raises(ArithmeticError, match="item 2"):
        threads.each(work, range(6), parallel=False)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("number", [1, 2])
def test_items_may_come_from_a_generator(number):
    threads.set_threads(number)
    assert threads.each(lambda i: 2 * i, (i for i in range(5))) == [0, 2, 4, 6, 8]
    assert threads.each(lambda i: 2 * i, []) == []


def test_within_an_item_of_each_not_parallel_also_stays_on_its_thread():
    threads.set_threads(2)

    def outer(parallel):
        inner = threads.each(lambda _: threading.get_ident(), range(4), parallel=parallel)
        return threading.get_ident(), set(inner)

    assert all(inner == {own} for own, inner in threads.each(outer, [True, False]))


def test_ctrl_c_while_work_is_handed_out_waits_for_what_has_begun(monkeypatch):
    """An interrupt between two threads' starts: it is raised when no thread works any more."""
    threads.set_threads(3)
    executor = threads._executor()
    began = threading.Event()
    ended = []

    class Interrupted:
        calls = 0

        def submit(self, *arguments):
            Interrupted.calls += 1
            if Interrupted.calls == 2:
                began.wait(10)
                raise KeyboardInterrupt
            return executor.submit(*arguments)

    def work(i):
        began.set()
        time.sleep(0.2)
        ended.append(i)

    monkeypatch.setattr(threads, "_executor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        threads.each(work, range(8))
    assert ended == [0]  # the one item that had begun was waited for; no other began
    time.sleep(0.3)
    assert ended == [0]


def test_ctrl_c_is_raised_even_if_an_item_failed_as_well():
    threads.set_threads(2)
    meet = threading.Barrier(2, timeout=30)
    here = threading.get_ident()

    def work(i):
        meet.wait()
        if threading.get_ident() == here:
            raise ArithmeticError("an item failed")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        threads.each(work, range(2))


def test_an_error_before_a_pass_begins_leaves_no_pass_behind(monkeypatch):
    """Else set_threads would be refused for ever: "a pass over a network is running"."""

    def broken():
        raise OSError("the libraries cannot be listed")

    with monkeypatch.context() as patch:
        patch.setattr(threads, "_blas", broken)
        with pytest.raises(OSError, match="cannot be listed"), threads.one_blas_thread():
            pass
    threads.set_threads(2)
    assert threads.local.passes == 0
