"""Figures in files: the same figure gives the same bytes on any day."""

import resource

import pytest
from matplotlib.figure import Figure

from invrob.pictures import FORMATS, write_figure

DAYS = (10**9, 1_700_000_000)  # seconds after 1970, in the years 2001 and 2023


def drawing():
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.fill_between([0, 1], [0, 0.5], [0.5, 1], alpha=0.2)
    axes.plot([0, 1], [0.2, 0.8], marker="o", label=r"$\epsilon$")
    axes.legend()
    return figure


@pytest.mark.parametrize("suffix", [*FORMATS, "PDF"])
def test_a_figure_gives_the_same_bytes_on_any_day(suffix, tmp_path, monkeypatch):
    written, plain = [], []
    for day in DAYS:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(day))  # the clock that matplotlib dates its files by
        written.append(write_figure(tmp_path / f"{day}.{suffix}", drawing()).read_bytes())
        drawing().savefig(tmp_path / f"plain.{suffix}")
        plain.append((tmp_path / f"plain.{suffix}").read_bytes())
    assert written[0] == written[1]
    assert suffix == "png" or plain[0] != plain[1]  # so that this can fail


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_disk_that_takes_no_more_is_the_error_whatever_the_format(suffix, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            write_figure(tmp_path / f"figure.{suffix}", drawing())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.filename == str(tmp_path / f"figure.{suffix}")
    assert list(tmp_path.iterdir()) == []
