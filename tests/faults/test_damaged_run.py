"""A damaged run directory: what is damaged is missing, is said to be, and is computed again to the same bytes."""

import json
import os
import shutil
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import cases, contents, run

from invrob.empirical.experiments import Store, read_run
from invrob.empirical.experiments.store import write_json
from invrob.empirical.profiles import QuarterTurns
from invrob.errors import InputError


def flipped(content, draw):
    place = draw(st.integers(0, len(content) - 1))
    return content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :]


DAMAGES = {
    "truncated": lambda content, draw: content[: draw(st.integers(0, len(content) - 1))],
    "a bit flipped": flipped,
    "a page lost": lambda content, draw: content[:64] + bytes(min(4096, len(content) - 64)) + content[4160:],
    "garbage": lambda content, draw: bytes(draw(st.integers(0, 255)) for _ in range(9)),
    "another's": lambda content, draw: b'{"sha256": "0", "body": {"cell": {}}}',
    "no end of brackets": lambda content, draw: b"[" * 100_000,
}
LISTS = "rate low high accuracy accuracy_low accuracy_high per_image thetas epsilons".split()  # noqa: SIM905
PLACES = ("cells/*/cell.json", "cells/*/weights.safetensors", "cells/*/profiles-*.json", "cells/*/costs.json")


@contextmanager
def damaged(path, content):
    """The file with another content, a folder (None) or a link to nowhere (...) in its place; whole afterwards."""
    before = path.read_bytes()
    path.unlink()
    if content is None:
        path.mkdir()
    elif content is ...:
        path.symlink_to("nowhere")
    else:
        path.write_bytes(content)
    yield
    shutil.rmtree(path) if content is None else path.unlink()
    path.write_bytes(before)


@pytest.fixture(scope="module")
def copy(whole, tmp_path_factory):
    """A copy that each test leaves as it was."""
    return shutil.copytree(whole, tmp_path_factory.mktemp("copy") / "run")


def measured(out):
    """{training angle: what was measured} of the cells that count as finished."""
    return {r.cell.recipe.rotation: (r.invariance, r.robustness) for r in read_run(out)[1]}


@cases(60)
@given(st.sampled_from([*PLACES, "experiment.json"]), st.sampled_from([*DAMAGES, "folder", "link"]), st.data())
def test_no_damage_passes_for_a_result_and_none_raises(whole, copy, place, damage, data):
    path = data.draw(st.sampled_from(sorted(copy.glob(place))))
    special = {"folder": None, "link": ...}
    content = special[damage] if damage in special else DAMAGES[damage](path.read_bytes(), data.draw)
    with damaged(path, content):
        try:
            read = measured(copy)
        except InputError:
            read = {}
            assert place == "experiment.json"
        for cell in read_run(whole)[1]:
            Store(copy).read_costs(cell.cell.key)
    assert read.items() <= measured(whole).items()


@pytest.mark.parametrize(
    "damage",
    ["truncated", "link", "all at once", *(pytest.param(name, marks=pytest.mark.long) for name in [*DAMAGES][1:])],
)
def test_a_run_computes_what_is_damaged_again_to_the_same_bytes(whole, finished, config, damage):
    cell = sorted(finished.glob("cells/*"))[0]
    victims = [next(finished.glob(place)) for place in (*PLACES, "experiment.json")]
    for path in victims if damage == "all at once" else [next(cell.glob("weights.safetensors")), *victims[2:3]]:
        content = path.read_bytes()
        path.unlink()
        if damage == "link":
            path.symlink_to("nowhere")
        else:
            path.write_bytes(DAMAGES.get(damage, DAMAGES["truncated"])(content, lambda _: 7))
    again = run(config, finished)
    assert again.returncode == 0, again.stderr
    assert contents(finished) == contents(whole)


def test_a_folder_in_the_place_of_a_file_is_named(finished, config, invrob):
    path = next(finished.glob("cells/*/cell.json"))
    path.unlink()
    path.mkdir()
    again = run(config, finished)
    assert again.returncode in (1, 2)
    assert str(path) in again.stderr
    assert "Traceback" not in again.stderr
    shown = invrob("empirical", "figures", finished)
    assert shown.returncode == 0
    assert "1 cell is not finished" in shown.stdout


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"experiment": {}},
        {"experiment": {"dataset": 3}, "fingerprint": "f"},
        {"experiment": None, "fingerprint": None},
    ],
)
def test_an_experiment_of_the_right_sum_and_the_wrong_content_is_refused(finished, body, invrob):
    write_json(finished / "experiment.json", body)
    shown = invrob("empirical", "figures", finished)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "was written by another version of invrob" in shown.stderr


@cases(40)
@given(st.data())
def test_profiles_of_the_right_sum_and_the_wrong_content_are_not_read(whole, copy, data):
    path = data.draw(st.sampled_from(sorted(copy.glob("cells/*/profiles-*.json"))))
    whole_file = path.read_bytes()
    body = json.loads(whole_file)["body"]
    part = data.draw(st.sampled_from([body, *body.values(), body["robustness"]["sanity"]]))
    name = data.draw(st.sampled_from(sorted(part)))
    if data.draw(st.booleans()):
        del part[name]
    else:
        part[name] = data.draw(st.sampled_from([None, "x", {}, [], [[]], True]))
    write_json(path, body)
    try:
        read = measured(copy)
    finally:
        path.write_bytes(whole_file)
    assert len(read) in (1, 2)
    assert len(read) == 1 or read == measured(whole) or name not in LISTS


@pytest.mark.parametrize("name", ["degrees", "rate", "low", "high", "deviation"])
def test_quarter_turns_are_three(name):
    plain = {
        "images": 9,
        "confidence": 0.95,
        **dict.fromkeys(("degrees", "rate", "low", "high", "deviation"), [1.0] * 3),
    }
    assert QuarterTurns.from_dict(plain).to_dict() == plain
    with pytest.raises(InputError, match="needs a number for each of the three turns"):
        QuarterTurns.from_dict({**plain, name: []})


def test_profiles_of_the_wrong_content_are_measured_again(whole, finished, config):
    path = next(finished.glob("cells/*/profiles-*.json"))
    write_json(path, {"robustness": {"rate": "high"}})
    assert run(config, finished).returncode == 0
    assert contents(finished) == contents(whole)


def test_what_a_killed_process_was_writing_is_swept_out_by_the_next_run(finished, config, whole):
    for folder in (finished, *finished.glob("cells/*")):
        (folder / ".weights.abc.tmp.safetensors").write_bytes(b"half of the n")
    assert run(config, finished).returncode == 0
    assert contents(finished) == contents(whole)


def test_links_in_a_run_directory_are_replaced_and_never_written_through(finished, config, tmp_path):
    outside = tmp_path / "precious"
    outside.write_text("mine")
    for path in (*finished.glob("cells/*/cell.json"), *finished.glob("cells/*/weights.safetensors")):
        path.unlink()
        path.symlink_to(outside)
    assert run(config, finished).returncode == 0
    assert outside.read_text() == "mine"
    assert not any(os.path.islink(path) for path in finished.rglob("*"))
