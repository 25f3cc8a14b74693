"""`invrob plane`: models of a user side by side, from what `invrob profile` left behind."""

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from sketches import sketched
from typer.testing import CliRunner

from invrob.cli import app, main
from invrob.errors import InputError

NET = """
import torch

def build(scale):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    net[1].weight.data *= scale
    return net

def steep():
    return build(30.0)

def flat():
    return torch.nn.Sequential(torch.nn.AvgPool2d(28), build(1.0)[0], torch.nn.Linear(1, 10))
"""


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with the profiles `steep` and `profile-flat`, and one by queries alone."""
    folder = tmp_path_factory.mktemp("plane")
    (folder / "planenets.py").write_text(NET)
    pictures = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    np.savez(folder / "five.npz", test_images=pictures, test_labels=np.arange(20) % 10)
    common = [
        "--audit",
        "0",
        "--data",
        "mnist-mini",
        "--images",
        20,
        "--epsilons",
        "0,0.02,0.1",
        "--thetas",
        "0,90",
        "-q",
    ]
    with pytest.MonkeyPatch.context() as patch, sketched():
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        for spec, out, extra in (
            ("steep", "steep", []),
            ("flat", "profile-flat", []),
            ("steep", "queries", ["--attack", "black-box", "--queries", 5]),
            ("steep", "length", ["--norm", "l2"]),
            ("flat", "more", ["--images", 30]),
            ("flat", "five", ["--data", f"npz:{folder / 'five.npz'}"]),
            ("flat", "trained", ["--split", "train"]),
        ):
            done = invoke("profile", f"planenets:{spec}", *common, "--out", out, *extra)
            assert done.exit_code == 0, done.output
    return folder


def test_points_are_the_profiles_own_and_named_by_their_folders(measured, tmp_path):
    done = invoke("plane", measured / "steep", measured / "profile-flat", "--json", "--out", tmp_path / "p.svg")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["theta"], answer["epsilon"]) == (90, 0.1)
    points = {point["name"]: point for point in answer["points"]}
    assert set(points) == {"steep", "flat"}
    for name, folder in (("steep", "steep"), ("flat", "profile-flat")):
        kept = json.loads((measured / folder / "profile.json").read_text())
        assert points[name]["invariance"]["estimate"] == kept["invariance"]["rate"][1]
        assert points[name]["robustness"]["low"] == kept["robustness"]["low"][2]
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")


@pytest.fixture
def nine(measured, tmp_path):
    """Folders with long names, each of the same profile."""
    folders = [tmp_path / f"model-number-{k}-of-a-long-name-that-differs-in-its-middle" for k in range(1, 10)]
    for folder in folders:
        shutil.copytree(measured / "steep", folder)
    return folders


def test_names_stay_whole_in_80_columns_and_no_row_is_broken(nine, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = invoke("plane", *nine, "--out", tmp_path / "p.png")
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines if not line.startswith(("plane: ", "next: "))) <= 80
    for number, folder in enumerate(nine, start=1):
        place = lines.index(f"{number}  {folder.name}")
        assert re.fullmatch(r" +[\d.]+ \[[\d.]+, [\d.]+\] +[\d.]+ \[[\d.]+, [\d.]+\] .*: unaudited", lines[place + 1])


def test_in_a_pipe_a_row_and_a_sentence_are_a_line(nine, tmp_path, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    done = invoke("plane", *nine, "--out", tmp_path / "p.png")
    lines = done.stdout.splitlines()
    for number, folder in enumerate(nine, start=1):
        assert re.fullmatch(
            rf"{number}  {folder.name} +[\d.]+ \[.*\] +[\d.]+ \[.*\].* estimated front: unaudited", lines[number]
        )
    assert (
        "estimated front: no other model is better in both rates by the estimates; the intervals leave it open."
        in lines
    )
    assert "  1 may be dominated by 2, 3, 4, 5, 6, 7, 8, 9 (all equal)" in lines
    assert "equal: no number of images, for a rate of both is estimated the same." in lines
    assert lines[-1] == f"next: invrob report {' '.join(map(str, nine))}"


def test_whom_a_point_may_be_dominated_by_and_how_many_images_would_decide_is_printed_and_in_json(
    measured, tmp_path, monkeypatch
):
    monkeypatch.delenv("COLUMNS", raising=False)  # nothing sets a width: a sentence is a line
    plain = json.loads((measured / "steep" / "profile.json").read_text())
    for name, rate in (("first", 0.5), ("second", 0.6)):
        for kind in ("invariance", "robustness"):
            low, high = [1.0, rate - 0.1, rate - 0.1], [1.0, rate + 0.1, rate + 0.1]
            thetas = len(plain["invariance"]["thetas"]) if kind == "invariance" else 3
            bounds = {"rate": [1.0, rate, rate][:thetas], "low": low[:thetas], "high": high[:thetas]}
            plain[kind] |= bounds
        (tmp_path / name).mkdir()
        (tmp_path / name / "profile.json").write_text(json.dumps(plain))
    paths, out = (tmp_path / "first", tmp_path / "second"), tmp_path / "p.svg"
    lines = invoke("plane", *paths, "--out", out).stdout.splitlines()
    begins = (
        "What is undecided, and in brackets how many images of each would decide it with a probability of 80 %, if "
    )
    said = next(line for line in lines if line.startswith(begins))
    assert said.endswith("if the true rates are what was estimated; now it is 20:")
    first, second = json.loads(invoke("plane", *paths, "--json", "--out", out).stdout)["points"]
    assert [point["says"] for point in (first, second)] == ["undecided", "on the estimated front, undecided"]
    assert [point["estimated_front"] for point in (first, second)] == [False, True]
    (rival,) = first["undecided_by"]
    assert (rival["rival"], rival["better"], rival["reason"], rival["chance"]) == ("second", True, "", 0.8)
    assert 100 < rival["images"] < 400
    assert rival["answer"] == f"{rival['images']} images of each"
    assert f"  1 may be dominated by 2\N{NO-BREAK SPACE}({rival['images']})" in lines
    assert second["undecided_by"][0]["better"] is False


def test_what_queries_alone_say_is_shown_and_takes_no_part(measured, tmp_path):
    done = invoke("plane", measured / "steep", measured / "queries", "--out", tmp_path / "p.png")
    assert done.exit_code == 0, done.output
    assert "excluded: black-box" in done.stdout
    assert "front" in done.stdout


def test_the_level_of_the_intervals_and_what_they_are_about_are_said(measured, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    plain = json.loads((measured / "steep" / "profile.json").read_text())
    for kind in ("invariance", "robustness"):
        plain[kind]["confidence"] = 0.8
    (folder / "profile.json").write_text(json.dumps(plain))
    done = invoke("plane", folder, "--out", tmp_path / "p.png")
    assert done.exit_code == 0, done.output
    assert "with intervals of 80 %: this network, these images." in " ".join(done.stdout.split())
    done = invoke("plane", folder, "--json", "--out", tmp_path / "p.png")
    (point,) = json.loads(done.stdout)["points"]
    assert (point["confidence"], point["seeds"]) == (0.8, 1)
    assert point["covers"] == "this network, these images"
    assert (point["status"], point["note"]) == ("front", "")
    assert "floor" in point


@pytest.mark.parametrize("other", ["five", "trained"])
def test_models_of_other_data_are_refused_unless_mixed_and_then_named(measured, tmp_path, other, monkeypatch, capsys):
    paths, out = (measured / "steep", measured / other), tmp_path / "p.svg"
    monkeypatch.setattr("sys.argv", ["invrob", "plane", *map(str, paths), "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        main()
    err = capsys.readouterr().err
    assert end.value.code == 2
    assert err.startswith("error: models were measured on different images: steep on 20 test images of mnist-mini, ")
    assert "or take --mixed to see them side by side all the same" in err
    assert not out.exists()
    done = invoke("plane", *paths, "--mixed", "--out", out)
    assert done.exit_code == 0, done.output
    assert "Not all on the same images: steep: 20 test images of mnist-mini; " in " ".join(done.stdout.split())
    answer = json.loads(invoke("plane", *paths, "--mixed", "--json", "--out", out).stdout)
    assert answer["images"].startswith("not all on the same images: steep: 20 test images of mnist-mini; ")
    assert [point["measured_on"]["split"] for point in answer["points"]] == [
        "test",
        {"five": "test"}.get(other, "train"),
    ]


def test_another_number_of_images_of_the_same_data_is_named(measured, tmp_path):
    paths, out = (measured / "steep", measured / "more"), tmp_path / "p.svg"
    note = "ot all on the same images: steep: 20 test images of mnist-mini; more: 30 test images of mnist-mini"
    done = invoke("plane", *paths, "--out", out)
    assert done.exit_code == 0, done.output
    assert f"N{note}." in " ".join(done.stdout.split())
    assert json.loads(invoke("plane", *paths, "--json", "--out", out).stdout)["images"] == f"n{note}"
    alike = invoke("plane", measured / "steep", measured / "profile-flat", "--json", "--out", out)
    assert json.loads(alike.stdout)["images"] == ""


def test_a_profile_of_an_earlier_version_knows_its_data_by_their_fingerprint(measured, tmp_path):
    plain = json.loads((measured / "profile-flat" / "profile.json").read_text())
    del plain["data"]["images_fingerprint"]
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "profile.json").write_text(json.dumps(plain))
    done = invoke("plane", measured / "steep", tmp_path / "old", "--json", "--out", tmp_path / "p.svg")
    assert json.loads(done.stdout)["images"] == ""


def test_a_paper_gets_a_pdf_as_wide_as_its_column_and_other_styles_are_refused(measured, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = (measured / "steep", measured / "profile-flat")
    done = invoke("plane", *both, "--style", "paper")
    assert done.exit_code == 0, done.exception
    assert "plane: plane.pdf\n" in done.stdout
    content = (tmp_path / "plane.pdf").read_bytes()
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", content)[1])
    assert width == pytest.approx(3.25 * 72)
    assert b"/Type3" not in content  # publishers refuse it
    assert not (tmp_path / "plane.png").exists()
    refused = invoke("plane", *both, "--style", "papr").exception
    assert "'papr' is unknown; did you mean 'paper'" in str(refused)


def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_read(measured, tmp_path):
    (tmp_path / "file").touch()
    for out, cause in (("file/p.png", "file is a file, no folder"), ("d.png", "it is a folder, no file")):
        (tmp_path / "d.png").mkdir(exist_ok=True)
        done = invoke("plane", measured / "nowhere", "--out", tmp_path / out)
        assert isinstance(done.exception, InputError)
        assert f"{out} cannot be written" in str(done.exception)
        assert cause in str(done.exception)


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_points_are_printed_where_the_disk_refuses_the_picture_after_all(measured, tmp_path, monkeypatch, how):
    def full(path, write):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("invrob.pictures.write_atomically", full)
    done = invoke("plane", measured / "steep", "--out", tmp_path / "p.png", *how)
    assert done.exit_code == 1
    assert f"{tmp_path / 'p.png'} could not be written (No space left on device); the points" in done.stderr
    assert json.loads(done.stdout)["figure"] is None if how else "steep" in done.stdout


def test_a_folder_that_is_named_twice_is_refused(measured, tmp_path):
    done = invoke("plane", measured / "steep", measured / "flat" / ".." / "steep", "--out", tmp_path / "p.png")
    assert isinstance(done.exception, InputError)
    assert "is named twice: leave one out" in str(done.exception)


def test_a_name_that_two_share_gets_its_path(measured, tmp_path):
    other = shutil.copytree(measured / "steep", tmp_path / "steep")
    done = invoke("plane", measured / "steep", other, "--json", "--out", tmp_path / "p.png")
    names = [point["name"] for point in json.loads(done.stdout)["points"]]
    assert names == [f"{measured / 'steep'}: steep", f"{other}: steep"]


@pytest.mark.parametrize(
    ("paths", "options", "said"),
    [
        (["nowhere"], [], "holds no run"),
        (["steep", "length"], [], "models were measured with norm = l2 and linf"),
        (["steep"], ["--theta", 45], "theta = 45 was not measured: choose one of 0, 90"),
        (["steep", "length"], [], "(l2: {folder}/length; linf: {folder}/steep)"),
        (["steep"], ["--epsilon", "8/0"], "is no number: write 0.1, or 8/255"),
        (["steep"], ["--out", "plane.gif"], "must end in .png, .svg or .pdf"),
    ],
)
def test_bad_usage_says_what_is_wrong(measured, paths, options, said):
    done = invoke("plane", *(measured / path for path in paths), *options)
    assert isinstance(done.exception, InputError)
    assert said.format(folder=measured) in str(done.exception)


def test_the_folder_that_lacks_an_epsilon_is_named_with_a_command_that_works_and_a_way_to_measure_it(
    measured, tmp_path
):
    plain = json.loads((measured / "profile-flat" / "profile.json").read_text())
    plain["robustness"]["epsilons"] = [0.0, 0.05, 0.1]
    (tmp_path / "other folder").mkdir()
    (tmp_path / "other folder" / "profile.json").write_text(json.dumps(plain))
    paths, out = (measured / "steep", tmp_path / "other folder"), ("--out", tmp_path / "p.svg")
    done = invoke("plane", *paths, "--theta", "90", "--epsilon", "0.05", *out)
    said, works, measure = str(done.exception).splitlines()
    assert said == (
        f"epsilon = 0.05 was not measured for {paths[0]}, which has 0, 0.02, 0.1: choose one of 0, 0.1, which all "
        f"have, or measure {paths[0]} there"
    )
    assert (
        measure == f"to measure it there, run again: the command that made {paths[0]}, with --epsilons 0,0.02,0.05,0.1"
    )
    begins = "with what all have: invrob "
    assert works.startswith(begins)
    words = shlex.split(works.removeprefix(begins))
    assert words[3:5] == ["--theta", "90"]
    assert invoke(*words).exit_code == 0
    assert (tmp_path / "p.svg").exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"invariance": NaN}', b"\xff", b"[" * 100_000])
def test_a_damaged_profile_is_named(measured, tmp_path, damage):
    (tmp_path / "profile.json").write_bytes(damage)
    done = invoke("plane", tmp_path)
    assert isinstance(done.exception, InputError)
    assert "its profile.json is missing or damaged" in str(done.exception)
