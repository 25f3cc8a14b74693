"""An error of the library names its arguments; the same error on the command line names its options."""

import sys
import warnings

import pytest
import torch
import typer
from hypothesis import given
from hypothesis import strategies as st

from invrob.cli import app, main
from invrob.commands.naming import naming_options

COMMANDS = typer.main.get_command(app)


@pytest.fixture
def error_of(monkeypatch, capsys):
    """Call the command line in this process: error_of("profile", ...) -> what it says on stderr."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["invrob", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert (end.value.code, said.out) == (2, "")
        return said.err

    return call


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("torchvision:resnet18 --pretrained --offline", "--pretrained and --offline exclude each other: leave one out"),
        ("torchvision:resnet18 --pretrained --weights w.pt", "--pretrained and --weights exclude each other"),
        ("torch.nn:Flatten --pretrained", "--pretrained is for timm:NAME and torchvision:NAME, not for"),
        ("torch.nn:Flatten --mean 0.1", "--mean and --std belong together: give both, or neither"),
        ("torch.nn:Flatten --mean 0 --std 0", "--mean (0.0,) and --std (0.0,) must be finite numbers"),
        ("weights.pth", "weights.pth holds weights without a network: name the Python that builds the network, "),
        ("weights.pth", "pkg.module:callable, and its --weights, or save all of it"),
        ("script.pt --weights weights.pth", "--weights weights.pth is for Python that builds a module; script.pt"),
    ],
)
def test_errors_of_load_model_name_the_options_of_the_profile(tmp_path, monkeypatch, error_of, words, text):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(1)}, "weights.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.script(torch.nn.Flatten()), "script.pt")
    said = error_of("profile", *words.split(), "--data", "mnist-mini")
    assert text in said
    assert "`" not in said


def test_errors_of_fetch_name_its_options(error_of, tmp_path):
    said = error_of("data", "fetch", "mnist", "--offline", "--root", str(tmp_path))
    assert "mnist cannot be fetched offline (all 4 files are missing): leave out --offline, or put" in said


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        (["profile", "x"], "seed = 3 and `as_json`", "--seed 3 and --json"),
        (["data", "fetch"], "seed = 3 and `root`", "seed = 3 and --root"),
        (["data"], "`root`", "`root`"),
        ([], "`root`", "`root`"),
        (["nothing"], "`root`", "`root`"),
        (["profile", "x"], "out/seed=3 and /seed = 3 and 'seed = 3' and `seed = 3`", None),
        (["profile", "x"], "run `invrob data fetch mnist`", None),
    ],
)
def test_only_arguments_that_are_options_of_the_command_are_renamed(words, text, expected):
    assert naming_options(text, COMMANDS, words) == (text if expected is None else expected)


@given(
    st.text(), st.lists(st.sampled_from(["profile", "data", "fetch", "run", "empirical", "-x", "data "]), max_size=4)
)
def test_other_text_stays_as_it_is(text, words):
    plain = text.replace("`", "").replace("=", "")
    assert naming_options(plain, COMMANDS, words) == plain
