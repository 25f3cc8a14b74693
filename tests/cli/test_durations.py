"""Durations as people and Slurm write them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invrob.commands.durations import LONGEST, seconds_of, written
from invrob.commands.time_limit import LEAST
from invrob.errors import InputError

KNOWN = {
    "90": 90,
    "90s": 90,
    "9m": 540,
    "1h30m": 5400,
    "1.5h": 5400,
    "2D": 172800,
    "1d12h": 129600,
    "0.5m": 30,
    " 9M ": 540,
    "09:00": 540,
    "9:00": 540,
    "90:00": 5400,
    "01:30:00": 5400,
    "1-12:00:00": 129600,
}
NONE = [
    "",
    " ",
    "m",
    "9 m",
    "9x",
    "1m2h",
    "-9m",
    "+9m",
    "1e3",
    "nan",
    "inf",
    "9,5m",
    "9:7",
    "1:60",
    "1:60:00",
    "1-24:00:00",
]
NONE += ["1-00:00", "٩m", "9m9m", "9mm", "0x10", ".", "1.", ".5h", "1:2:3:4", "9m;rm"]


@pytest.mark.parametrize("text", KNOWN)
def test_the_usual_forms_are_read(text):
    assert seconds_of("--time-limit", text, LEAST) == KNOWN[text]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_duration_is_refused_with_the_forms_and_an_example(text):
    with pytest.raises(InputError) as refused:
        seconds_of("--time-limit", text, LEAST)
    said = str(refused.value)
    assert repr(text) in said
    assert "90 or 90s, 9m, 1h30m, 1.5h, or as Slurm writes it: 09:00, 01:30:00, 1-12:00:00" in said
    assert said.endswith("for example --time-limit 9m")


@pytest.mark.parametrize("text", ["0", "4s", "0:04", "367d", "999999999d"])
def test_what_is_too_short_or_too_long_is_refused_with_the_range(text):
    with pytest.raises(
        InputError, match=rf"^--time-limit {text}: must be from 5s to 366d; for example --time-limit 9m$"
    ):
        seconds_of("--time-limit", text, LEAST)


@given(st.integers(int(LEAST), int(LONGEST)))
def test_what_is_written_is_read_as_the_same(seconds):
    assert seconds_of("--time-limit", written(seconds), LEAST) == seconds


@given(st.integers(0, 300), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_slurms_form_is_the_sum_of_its_parts(days, hours, minutes, seconds):
    text, total = f"{days}-{hours:02}:{minutes:02}:{seconds:02}", ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert seconds_of("--time-limit", text, 0) == total
    assert seconds_of("--time-limit", f"{days}d{hours}h{minutes}m{seconds}s", 0) == total


@given(st.text(max_size=12))
def test_no_text_does_anything_but_be_read_or_refused(text):
    with suppress(InputError):
        assert LEAST <= seconds_of("--time-limit", text, LEAST) <= LONGEST
