"""The end of the time: what is broken off, what comes to rest by itself, and what signals bring about."""

import os
import signal
import threading
import time
from math import inf

import pytest
import torch

from invrob.empirical.execution import Deadline, deadline, keeping
from invrob.empirical.execution.keeping import KeptTraining
from invrob.empirical.training import Paused


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGINT)]


def long_step_with(*signals):
    for number in signals:
        os.kill(os.getpid(), number)
    time.sleep(60)


def after(seconds, number):
    threading.Timer(seconds, os.kill, [os.getpid(), number]).start()


@pytest.mark.parametrize("what", ["measuring", "steps"])
def test_at_the_end_of_the_time_what_is_at_work_is_broken_off(what):
    before = handlers()
    with pytest.raises(Paused), Deadline(time.time() + 0.05).watched(what):
        time.sleep(60)
    assert handlers() == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_ends_in_time_is_left_alone():
    before = handlers()
    with Deadline(time.time() + 0.1).watched("measuring"):
        pass
    time.sleep(0.2)  # no alarm is left
    assert handlers() == before


def test_without_an_end_there_is_no_alarm():
    with Deadline().watched("measuring"):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert not Deadline().over
    assert Deadline().left == inf


def test_a_validation_inside_of_a_training_leaves_its_alarm_on():
    end = Deadline(time.time() + 60)
    with end.watched("steps"):
        with end.watched("measuring"):
            pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
        assert end.inside == "steps"


@pytest.fixture
def soft():
    """A deadline that SIGTERM tells."""
    end = Deadline()
    before = signal.signal(signal.SIGTERM, end.tell)
    yield end
    signal.signal(signal.SIGTERM, before)


def test_sigterm_breaks_a_measurement_off_at_once(soft):
    after(0.05, signal.SIGTERM)
    with pytest.raises(Paused), soft.watched("measuring"):
        time.sleep(60)
    assert soft.over
    with pytest.raises(Paused), soft.watched("measuring"):
        pytest.fail("another one was begun")


def test_sigterm_lets_the_step_of_a_training_come_to_its_end_and_breaks_off_one_that_does_not(soft, monkeypatch):
    with soft.watched("steps"):
        os.kill(os.getpid(), signal.SIGTERM)
        assert soft.over
    assert soft.latest < inf
    monkeypatch.setitem(deadline.GRACE, "SIGTERM", 0.05)
    with pytest.raises(Paused), soft.watched("steps"):
        long_step_with(signal.SIGTERM)


def test_ctrl_c_lets_the_step_come_to_its_end_and_a_second_one_does_not_wait():
    end = Deadline()
    with end.watched("steps"):
        os.kill(os.getpid(), signal.SIGINT)
        assert end.told == "SIGINT"
    with pytest.raises(KeyboardInterrupt), Deadline().watched("steps"):
        long_step_with(signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Deadline().watched("measuring"):
        os.kill(os.getpid(), signal.SIGINT)


def test_in_another_thread_nothing_is_broken_off():
    ended = []

    def work():
        with Deadline(time.time() + 0.01).watched("measuring"):
            time.sleep(0.05)
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


class Cell:
    key = "k"


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = [1000.0]
    monkeypatch.setattr(keeping.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(deadline.time, "time", lambda: now[0])
    return now


STATE = {"x": torch.ones(3)}


def test_a_training_stops_before_a_step_that_would_not_end_in_time(clock, tmp_path):
    kept = KeptTraining(tmp_path, [Cell], Deadline(1100.0))
    assert kept.read() is None
    for now, asked in ((1010, ""), (1020, ""), (1029, ""), (1039, "keep"), (1091, "stop")):
        clock[0] = now
        assert kept.asks() == asked
        if asked == "keep":
            kept.keep((STATE, {"place": [0, now, 1]}))


def test_a_long_first_step_is_forgotten_by_and_by(clock, tmp_path):
    kept = KeptTraining(tmp_path, [Cell], Deadline(1100.0))
    clock[0] = 1040.0
    assert kept.asks() == "keep"
    for _ in range(30):
        clock[0] += 0.1
        kept.asks()
    assert kept.longest_step < 2


def test_what_writing_takes_is_kept_free_at_the_end_and_is_a_small_share_of_the_training(clock, tmp_path, monkeypatch):
    kept, real = KeptTraining(tmp_path, [Cell], Deadline(2000.0)), keeping.write_halfway

    def slow(*arguments):
        clock[0] += 10
        real(*arguments)

    monkeypatch.setattr(keeping, "write_halfway", slow)
    clock[0] = 1031
    assert kept.asks() == "keep"
    kept.keep((STATE, {"place": [0, 1, 1]}))
    asked = []
    while not asked or asked[-1] != "stop":
        clock[0] += 1
        asked.append(kept.asks())
        assert len(asked) < 1000
    assert asked.index("keep") >= 199
    assert 2000 - 40 < clock[0] < 2000 - 10
    assert kept.read()[1]["seconds"] == 31


def test_a_training_that_is_no_further_is_not_written_again(clock, tmp_path):
    kept = KeptTraining(tmp_path, [Cell], Deadline())
    kept.keep((STATE, {"place": [0, 1, 1]}))
    (path,) = tmp_path.glob("halfway/*")
    before = path.stat().st_mtime_ns
    again = KeptTraining(tmp_path, [Cell], Deadline())
    again.read()
    again.keep((STATE, {"place": [0, 1, 1]}))
    assert path.stat().st_mtime_ns == before
    assert not again.deadline.worked
    again.keep((STATE, {"place": [0, 2, 1]}))
    assert path.stat().st_mtime_ns != before
