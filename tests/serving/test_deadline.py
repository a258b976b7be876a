import gc
import threading

import pytest

from serving.deadline import Deadline


def test_jobs_are_done_one_after_the_other_in_one_thread_that_is_kept() -> None:
    deadline = Deadline(10.0)
    threads = {deadline.call(threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_a_job_raises_what_it_raised_and_the_next_is_done() -> None:
    deadline = Deadline(10.0)
    with pytest.raises(ZeroDivisionError):
        deadline.call(lambda: 1 // 0)
    assert deadline.call(lambda: 7) == 7


def test_the_thread_ends_with_the_last_who_can_ask() -> None:
    deadline = Deadline(10.0)
    thread = deadline.call(threading.current_thread)
    del deadline
    gc.collect()
    thread.join(10.0)
    assert not thread.is_alive()
