"""Who must not hold up the application waits less for a database that is locked."""

import time
from threading import Event

import pytest
from anyio import to_thread

from headroom.memory import patience


def test_without_a_hurry_the_usual_time_is_waited() -> None:
    assert patience.at_most(30) == 30


def test_in_a_hurry_what_is_left_is_waited_and_never_more_than_usual() -> None:
    with patience.lasting(20):
        assert 19 < patience.at_most(30) <= 20
        assert patience.at_most(5) == 5
    assert patience.at_most(30) == 30


def test_when_time_is_over_there_is_still_one_moment() -> None:
    with patience.lasting(-1):
        moment = patience.at_most(30)
        assert 0 < moment < 1
        time.sleep(moment)
        assert patience.at_most(30) == 0
    with patience.lasting(0.01):
        time.sleep(0.02)
        assert 0 < patience.at_most(30) < 1


def test_in_a_hurry_work_is_waited_for_no_longer_than_that() -> None:
    ended = Event()
    assert patience.bounded(lambda: ended.wait(0.01)) is False
    with patience.lasting(0.05):
        with pytest.raises(TimeoutError):
            patience.bounded(lambda: ended.wait(30))
        ended.set()
    with patience.lasting(30):
        assert patience.bounded(lambda: ended.wait(30)) is True
        with pytest.raises(ZeroDivisionError):
            patience.bounded(lambda: 1 / 0)


@pytest.mark.anyio
async def test_a_worker_thread_is_in_the_same_hurry() -> None:
    with patience.lasting(20):
        assert await to_thread.run_sync(patience.at_most, 30) <= 20
