"""`invrob data list | fetch | info`: what a user reads, the JSON a script reads, exit code 2 with one line of why."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from invrob.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Call the command line in this process: run("list", "--json") -> (exit code, stdout, stderr)."""
    monkeypatch.setenv("INVROB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["invrob", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def cats(tmp_path):
    """A small colour data set in a file."""
    images = np.arange(20 * 4 * 5 * 3, dtype=np.uint8).reshape(20, 4, 5, 3)
    labels = np.arange(20) % 2
    names = np.array(["cat", "[bold]dog"])  # not markup
    path = tmp_path / "cats.npz"
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels, label_names=names)
    return path


def test_list_shows_names_sizes_presence_and_licence(run, tmp_path):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    for text in (
        "mnist-mini",
        "10,000",
        "55,000",
        "yes",
        "no: invrob data fetch mnist",
        "cifar10",
        "40,000",
        "CC BY-SA 3.0",
        "npz:PATH",
    ):
        assert text in out
    assert f"Fetched data go to {tmp_path / 'data'}" in out


def test_list_as_json(run):
    code, out, _ = run("list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert [rows["mnist-mini"][key] for key in ("train", "validation", "test", "present")] == [10000, 1000, 2000, True]
    assert [rows["mnist"][key] for key in ("train", "validation", "test", "present")] == [55000, 5000, 10000, False]
    assert [rows["cifar10"][key] for key in ("train", "validation", "test", "present")] == [40000, 10000, 10000, False]
    assert all("CC BY-SA 3.0" in rows[name]["licence"] for name in ("mnist-mini", "mnist"))
    assert rows["cifar10"]["licence"] == "none given by its makers, terms unspecified (Krizhevsky 2009)"


def test_info_of_a_file_shows_shapes_classes_and_fingerprint(run, cats):
    code, out, err = run("info", f"npz:{cats}")
    assert (code, err) == (0, "")
    for text in ("[3, 4, 5]", "class cat", "class [bold]dog", "mean per channel", "fingerprint: "):
        assert text in out


def test_info_as_json_is_the_table(run, cats):
    code, out, _ = run("info", f"npz:{cats}", "--json")
    summary = json.loads(out)
    assert code == 0
    assert summary["name"] == f"npz:{cats}"
    assert summary["classes"] == ["cat", "[bold]dog"]
    assert len(summary["fingerprint"]) == 64
    assert {name: split["images"] for name, split in summary["splits"].items()} == {
        "train": 18,
        "validation": 2,
        "test": 20,
    }
    assert summary["splits"]["test"]["shape"] == [3, 4, 5]
    assert summary["splits"]["test"]["class_counts"] == [10, 10]
    assert len(summary["splits"]["test"]["mean"]) == len(summary["splits"]["test"]["std"]) == 3


def test_info_of_the_embedded_digits(run):
    code, out, _ = run("info", "mnist-mini", "--json")
    summary = json.loads(out)
    assert code == 0
    assert summary["splits"]["train"]["class_counts"] == [1000] * 10
    assert summary["splits"]["train"]["mean"] == pytest.approx([0.1307], abs=0.002)  # of all of MNIST, as published
    assert summary["splits"]["train"]["std"] == pytest.approx([0.3081], abs=0.002)


def test_fetch_of_what_is_here_says_where(run):
    code, out, err = run("fetch", "mnist-mini")
    assert (code, err) == (0, "")
    assert out.startswith("mnist-mini is ready: ")
    assert out.endswith("mnist-mini.npz\nnext: invrob data info mnist-mini\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["info", "mnist-mimi"], "did you mean 'mnist-mini'?"),
        (["info", "npz:no.npz"], "no.npz cannot be read (No such file or directory)"),
        (["info", "mnist"], "run `invrob data fetch mnist`"),
        (["info", "mnist", "--root", "/no/such"], "mnist is not in /no/such/MNIST/raw"),
        (["fetch", "mnist", "--offline"], "mnist cannot be fetched offline (all 4 files are missing)"),
        (["info", "cifar10"], "cifar-10-batches-py (all 7 files are missing): run `invrob data fetch cifar10`"),
        (["fetch", "cifar10", "--offline"], "cifar10 cannot be fetched offline (all 7 files are missing)"),
        (["fetch", "cifar"], "dataset 'cifar' is not one to fetch: use mnist-mini, mnist, cifar10; npz:PATH is a file"),
        (["fetch", "cifar"], "did you mean 'cifar10'?"),
    ],
)
def test_bad_usage_is_one_line_on_stderr_and_exit_code_2(run, arguments, text):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert text in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["info"], ["fetch"], ["list", "--nope"], ["nope"]])
def test_bad_options_are_exit_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Error" in err


@pytest.mark.parametrize("command", [[], ["list"], ["fetch"], ["info"]])
def test_help_has_examples(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "Examples:" in out


@pytest.mark.long
def test_the_commands_work_from_a_checkout_as_a_process_of_their_own():
    listed = subprocess.run([sys.executable, "cli.py", "data", "list", "--json"], cwd=REPOSITORY, capture_output=True)
    assert (listed.returncode, listed.stderr) == (0, b"")
    assert json.loads(listed.stdout)[0]["name"] == "mnist-mini"
    refused = subprocess.run([sys.executable, "cli.py", "data", "info", "x"], cwd=REPOSITORY, capture_output=True)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert refused.stderr.decode().startswith("error: dataset 'x' is unknown: use ")
    assert b"Traceback" not in refused.stderr
