"""Epsilons as people write and read them, and the usual ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invrob import InputError
from invrob.empirical.profiles import format_epsilon, read_epsilon


@given(st.integers(0, 510))
def test_halves_of_levels_of_8_bits_are_read_back_as_they_were_printed(halves):
    assert read_epsilon(format_epsilon(halves / 510)) == halves / 510


@given(st.floats(0, 1e6))
def test_any_epsilon_is_read_back_to_six_digits(epsilon):
    assert read_epsilon(format_epsilon(epsilon)) == pytest.approx(epsilon, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("epsilon", "text"),
    [(0, "0"), (0.3, "0.3"), (0.5 / 255, "0.5/255"), (8 / 255, "8/255"), (26 / 255, "26/255"), (1.5, "1.5"), (1, "1")],
)
def test_an_epsilon_is_short_where_it_can_be(epsilon, text):
    assert format_epsilon(epsilon) == text


@pytest.mark.parametrize(
    "text", ["", "/", "8/", "/255", "1/0", "nan", "inf", "-inf", "1e999", "inf/255", "8/255/2", "a"]
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(InputError) as caught:
        read_epsilon(text)
    assert str(caught.value) == f"epsilon = {text!r} is no number: write 0.1, or 8/255"
