"""The run directory: what is written is read again, equal and whole, or it is not there."""

import errno
import json
import os
import string
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from invrob.empirical.experiments.store import Store, key_of, read_json, write_json
from invrob.errors import InputError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.text(), json_values, max_size=4)
dtypes = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
tensors = st.builds(
    lambda dtype, shape, seed: (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 50).abs().to(dtype),
    st.sampled_from(dtypes),
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(0, 9),
)
states = st.dictionaries(st.text(string.ascii_lowercase + "._", min_size=1, max_size=8), tensors, max_size=3)

KEY, PROFILE = "0123456789abcdef", "fedcba9876543210"
STATE = {"0.weight": torch.arange(12.0).reshape(3, 4) / 7, "0.bias": torch.tensor([0.1, -0.2, 0.3])}
BODY = {"cell": {"seed": 0, "recipe": {"rotation": 60.0}}, "epochs": [{"loss": 0.12345678901234567}], "best": 0}
RATES = {"invariance": {"rate": [1.0, 1 / 3]}, "robustness": {"rate": [1e-300, 2 / 3], "verdict": "sound"}}


def same(first, second):
    return first.keys() == second.keys() and all(
        first[k].dtype == second[k].dtype and first[k].shape == second[k].shape and torch.equal(first[k], second[k])
        for k in first
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def filled(tmp_path):
    """A store with one whole cell."""
    store = Store(tmp_path / "run")
    store.write_training(KEY, STATE, BODY)
    store.write_profiles(KEY, PROFILE, RATES)
    return store


def files(store):
    return sorted(path for path in store.path.rglob("*") if path.is_file())


@settings(deadline=None, max_examples=40)
@given(states, bodies)
def test_a_training_is_read_as_it_was_written(folder, state, body):
    body.pop("weights_sha256", None)
    store = Store(folder / "round")
    store.write_training(KEY, state, body)
    read, kept = store.read_training(KEY)
    assert same(read, state)
    kept.pop("weights_sha256")
    assert kept == body
    assert json.dumps(kept, sort_keys=True) == json.dumps(body, sort_keys=True)  # 1 is not 1.0


@settings(deadline=None, max_examples=40)
@given(bodies)
def test_profiles_are_read_as_they_were_written(folder, body):
    store = Store(folder / "round")
    store.write_profiles(KEY, PROFILE, body)
    assert json.dumps(store.read_profiles(KEY, PROFILE), sort_keys=True) == json.dumps(body, sort_keys=True)


def test_weights_that_are_views_or_need_gradients_are_kept_as_their_values(tmp_path):
    whole = torch.arange(6.0).reshape(2, 3)
    state = {"turned": whole.T, "part": whole[:, 1], "learned": torch.nn.Parameter(torch.ones(2))}
    Store(tmp_path).write_training(KEY, state, {})
    read, _ = Store(tmp_path).read_training(KEY)
    assert same(read, {name: value.detach() for name, value in state.items()})
    assert not any(value.requires_grad for value in read.values())


def test_what_was_never_written_is_absent(tmp_path):
    store = Store(tmp_path / "nowhere")
    assert store.read_training(KEY) is None
    assert store.read_profiles(KEY, PROFILE) is None
    assert not store.path.exists()


@pytest.mark.parametrize("index", range(3))
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_flipped_bit_makes_a_file_absent_or_changes_nothing(folder, index, data):
    store = Store(folder / f"flip{index}")
    if not store.path.exists():
        store.write_training(KEY, STATE, BODY)
        store.write_profiles(KEY, PROFILE, RATES)
    path = files(store)[index]
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    training, profiles = store.read_training(KEY), store.read_profiles(KEY, PROFILE)
    path.write_bytes(whole)
    if path.suffix == ".safetensors":
        assert training is None
        assert profiles == RATES
    elif path.name == "cell.json":
        assert training is None or training[1] == {**BODY, "weights_sha256": training[1]["weights_sha256"]}
    else:
        assert profiles in (None, RATES)  # 1e-5 and 1E-5 are the same number


@pytest.mark.parametrize("index", range(3))
def test_a_file_cut_off_anywhere_is_absent(filled, index):
    path = files(filled)[index]
    whole = path.read_bytes()
    for length in {0, 1, 8, len(whole) // 3, len(whole) // 2, len(whole) - 2, len(whole) - 1}:
        path.write_bytes(whole[:length])
        read = filled.read_profiles(KEY, PROFILE) if "profiles" in path.name else filled.read_training(KEY)
        assert read is None, length


@pytest.mark.parametrize("name", ["cell.json", "weights.safetensors", f"profiles-{PROFILE}.json"])
def test_a_stranger_in_the_place_of_a_file_is_no_result(filled, name):
    path = filled.path / "cells" / KEY / name
    for content in (b"\x80\x04\x95", b"PK\x03\x04", b"null", b"[]", b'{"body": {}, "sha256": "0"}'):
        path.write_bytes(content)
        read = filled.read_profiles(KEY, PROFILE) if "profiles" in name else filled.read_training(KEY)
        assert read is None, content


@settings(deadline=None, max_examples=60)
@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_other_content_is_read_as_nothing(folder, content):
    (folder / "any.json").write_bytes(content)
    assert read_json(folder / "any.json") is None


class PowerCut(BaseException):
    """Not an Exception: nothing may catch it."""


@pytest.mark.parametrize("at", ["before", "after"])
@pytest.mark.parametrize("write", range(3))
def test_a_crash_at_any_write_leaves_the_old_file_or_the_new_one(filled, monkeypatch, at, write):
    real, count = os.replace, [0]

    def replace(source, target):
        count[0] += 1
        if count[0] == write + 1 and at == "before":
            raise PowerCut
        real(source, target)
        if count[0] == write + 1:
            raise PowerCut

    monkeypatch.setattr(os, "replace", replace)
    other = {name: value + 1 for name, value in STATE.items()}
    with suppress(PowerCut):
        filled.write_training(KEY, other, {"new": True})
        filled.write_profiles(KEY, PROFILE, {"new": True})
    assert count[0] == write + 1
    training = filled.read_training(KEY)
    if training is not None:  # never the weights of one with the words of the other
        state, body = training
        assert same(state, other if "new" in body else STATE)
    assert filled.read_profiles(KEY, PROFILE) == ({"new": True} if (write, at) == (2, "after") else None)
    assert not [path for path in files(filled) if ".tmp" in path.name]


def test_a_process_that_died_while_writing_leaves_nothing_that_is_read(filled):
    folder = filled.path / "cells" / KEY
    (folder / ".cell.abc.tmp.json").write_text("{")
    (folder / ".weights.abc.tmp.safetensors").write_bytes(b"half")
    (folder / f".profiles-{PROFILE}.abc.tmp.json").write_text("{")
    assert same(filled.read_training(KEY)[0], STATE)
    assert filled.read_profiles(KEY, PROFILE) == RATES


def test_training_again_takes_the_profiles_of_the_old_weights_away_and_no_others(filled):
    filled.write_profiles("another cell", PROFILE, RATES)
    filled.write_training(KEY, STATE, BODY)
    assert filled.read_profiles(KEY, PROFILE) is None
    assert filled.read_profiles("another cell", PROFILE) == RATES


def test_weights_are_plain_safetensors(filled):
    assert same(load_file(filled.path / "cells" / KEY / "weights.safetensors"), STATE)


def test_the_same_content_is_written_as_the_same_bytes(filled, tmp_path):
    again = Store(tmp_path / "again")
    again.write_training(KEY, dict(reversed(STATE.items())), BODY)
    again.write_profiles(KEY, PROFILE, RATES)
    assert [path.read_bytes() for path in files(filled)] == [path.read_bytes() for path in files(again)]


def test_one_run_at_a_time_holds_a_directory_and_lets_go_of_it_however_it_ends(tmp_path):
    def hold():
        return Store(tmp_path / "run").locked()

    with suppress(ZeroDivisionError), hold():
        with pytest.raises(InputError, match="run is in use by another run: wait for it, or choose another"), hold():
            pytest.fail("two runs in one directory")
        raise ZeroDivisionError
    with hold():
        pass


def test_a_directory_that_cannot_be_made_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match=r"cannot be written .*: choose another folder"), Store(path).locked():
            pytest.fail("a run in a file")


def test_a_directory_that_cannot_be_made_is_no_trace_and_its_error_names_the_obstacle(tmp_path):
    (tmp_path / "file").touch()
    for place, cause in (("file", "file is a file, no folder"), ("new/" + "x" * 300, "File name too long")):
        with pytest.raises(InputError) as caught, Store(tmp_path / place).locked():
            pytest.fail("a run that cannot be kept")
        assert str(caught.value).startswith(f"{tmp_path / place} cannot be written (")
        assert cause in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_directory_that_may_not_be_written_is_refused_with_the_reason(tmp_path, monkeypatch, code):
    def refuse(*_, **__):  # and no chmod, for root may write anywhere
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=os.strerror(code)), Store(tmp_path / "run").locked():
        pytest.fail("written all the same")


@given(st.dictionaries(st.text(), json_values, min_size=1, max_size=4))
def test_a_key_does_not_depend_on_the_order_of_a_table(config):
    assert key_of(config) == key_of(dict(reversed(config.items())))
    assert len(key_of(config)) == 16
    assert set(key_of(config)) <= set("0123456789abcdef")


def test_a_key_tells_numbers_texts_and_nothing_apart():
    configs = [{"a": value} for value in (1, 1.5, "1", True, None, [1], {"1": 1})] + [{"b": 1}, {}]
    assert len({key_of(config) for config in configs}) == len(configs)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_that_json_lacks_is_written(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"rate": value})
    assert not list(tmp_path.iterdir())
