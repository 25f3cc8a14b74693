"""write_atomically: the old file or the new one, whatever happens, and nothing beside it."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import invrob
from invrob.errors import InputError
from invrob.files import check_writable, expanded, write_atomically


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_is_written_replaced_and_returned_and_nothing_else_is_left(tmp_path):
    target = tmp_path / "profiles.csv"
    assert write_atomically(target, lambda path: path.write_text("old")) == target
    assert write_atomically(str(target), lambda path: path.write_text("new")) == target
    assert content(tmp_path) == {"profiles.csv": "new"}


def test_missing_folders_are_made(tmp_path):
    target = tmp_path / "runs" / "mini" / "card.png"
    write_atomically(target, lambda path: path.write_text("x"))
    assert target.read_text() == "x"


@pytest.mark.parametrize("name", ["figure.svg", "weights.safetensors", "noextension", "a.tar.gz", ".hidden"])
def test_the_writer_gets_a_path_in_the_same_folder_with_the_same_suffix(tmp_path, name):
    seen = []

    def write(path):
        seen.append(path)
        path.write_text("x")

    write_atomically(tmp_path / name, write)
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == (Path(name).suffix or ".tmp")
    assert seen[0].name != name
    assert content(tmp_path) == {name: "x"}


def half(path):
    path.write_text("half of the n")
    raise RuntimeError("no space left")


def interrupted(path):
    path.write_text("half of the n")
    raise KeyboardInterrupt


def removes_it(path):
    path.unlink()


@pytest.mark.parametrize("before", [{}, {"run.json": "old"}], ids=["new file", "old file"])
@pytest.mark.parametrize(
    ("write", "error"), [(half, RuntimeError), (interrupted, KeyboardInterrupt), (removes_it, FileNotFoundError)]
)
def test_a_writer_that_fails_leaves_what_was_there(tmp_path, before, write, error):
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(error):
        write_atomically(tmp_path / "run.json", write)
    assert content(tmp_path) == before


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failure_at_any_later_step_leaves_the_old_file(tmp_path, monkeypatch, fails):
    (tmp_path / "run.json").write_text("old")

    def broken(*_):
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(os, fails, broken)
        with pytest.raises(OSError, match="the disk is gone"):
            write_atomically(tmp_path / "run.json", lambda path: path.write_text("new"))
    assert content(tmp_path) == {"run.json": "old"}


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path):
    (tmp_path / "run.json").write_text("old")
    program = (
        "import os, sys, signal; from invrob.files import write_atomically\n"
        "def write(path):\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(sys.argv[1], write)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "run.json")], check=False)
    assert killed.returncode == -9
    assert (tmp_path / "run.json").read_text() == "old"
    write_atomically(tmp_path / "run.json", lambda path: path.write_text("new"))
    assert (tmp_path / "run.json").read_text() == "new"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "a", lambda path: path.write_text("x"))
        (tmp_path / "b").write_text("x")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "b")]
    assert modes[0] == modes[1] == 0o666 & ~mask


def test_the_umask_of_the_other_threads_is_never_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("for an instant every thread had this umask"))
    write_atomically(tmp_path / "a", lambda path: path.write_text("x"))
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_replaced(tmp_path, make):
    make(tmp_path / "null")
    kind = stat.S_IFMT((tmp_path / "null").stat().st_mode)
    with pytest.raises(OSError, match=r"is a folder or a device, which no file may replace: .*null"):
        write_atomically(tmp_path / "null", lambda path: path.write_text("x"))
    assert stat.S_IFMT((tmp_path / "null").stat().st_mode) == kind
    assert [path.name for path in tmp_path.iterdir()] == ["null"]


OBSTACLES = {  # what stands in the way of which path, in the words of the error
    "f/x.png": "f is a file, no folder",
    "f/new/x.png": "f is a file, no folder",
    "link/x.png": "link is a link that leads nowhere",
    "d": "it is a folder, no file",
    "fifo": "it is a device, which no file may replace",
    "x" * 300: "File name too long in the folder .",
    "new/" + "ü" * 300 + "/x.png": "File name too long in the folder new",
}


@pytest.fixture
def crowded(tmp_path, monkeypatch):
    """The current folder: a file, a folder, a link that leads nowhere and a pipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


@pytest.mark.parametrize(("path", "cause"), OBSTACLES.items(), ids=list(OBSTACLES.values()))
def test_a_trial_names_what_stands_in_the_way_and_leaves_no_trace(crowded, path, cause):
    before = sorted(map(str, crowded.rglob("*")))
    with pytest.raises(InputError) as error:
        check_writable([path])
    assert str(error.value) == f"{path} cannot be written ({cause}): choose another `out`"
    assert sorted(map(str, crowded.rglob("*"))) == before


def test_a_trial_that_succeeds_leaves_no_trace_either(crowded):
    (crowded / "d/old.png").write_text("old")
    before = sorted(map(str, crowded.rglob("*")))
    check_writable(["new/folders/x.png", "d/old.png", "d/ünï wide/x.png", "new/../y", "./z"])
    assert sorted(map(str, crowded.rglob("*"))) == before
    assert (crowded / "d/old.png").read_text() == "old"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_trial_says_why_the_disk_refuses_and_removes_the_folders_that_it_made(tmp_path, monkeypatch, code):
    def refuse(path, *_):  # and no chmod, for root may write anywhere
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError) as error:
        check_writable([tmp_path / "new" / "x.png"], "name another")
    assert str(error.value) == (
        f"{tmp_path / 'new' / 'x.png'} cannot be written ({os.strerror(code)} in the folder {tmp_path / 'new'}): "
        "name another"
    )
    assert [*tmp_path.iterdir()] == []


def test_a_trial_leaves_the_folders_into_which_another_process_writes_meanwhile(tmp_path, monkeypatch):
    original = os.open

    def another(path, *arguments):
        (tmp_path / "runs" / "theirs").mkdir(exist_ok=True)
        return original(path, *arguments)

    monkeypatch.setattr(os, "open", another)
    check_writable([tmp_path / "runs" / "ours" / "x"])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["theirs"]


def test_a_trial_is_made_again_where_another_one_has_just_removed_its_folder(tmp_path, monkeypatch):
    original, failed = os.open, []

    def removed(path, *arguments):
        if not failed:
            failed.append(path)
            Path(path).parent.rmdir()
        return original(path, *arguments)

    monkeypatch.setattr(os, "open", removed)
    check_writable([tmp_path / "runs" / "x"])
    assert failed
    assert [*tmp_path.iterdir()] == []


def test_a_path_below_a_home_directory_that_nobody_has_is_refused_by_name(monkeypatch):
    def nobody(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/nets/a.onnx") == Path("/home/me/nets/a.onnx")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(InputError, match="begins with ~, and there is no such home directory: write the whole path"):
        expanded("~/nets/a.onnx")
    for spec, weights in (("~/nets/a.onnx", None), ("torch.nn:Linear", "~/w.pt"), ("~/net.py:build", None)):
        with pytest.raises(InputError, match="there is no such home directory"):
            invrob.load_model(
                spec, weights=weights, model_args={"in_features": 1, "out_features": 2} if weights else None
            )
