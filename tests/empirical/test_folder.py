"""folder:PATH: pictures by class as torchvision's ImageFolder has them, opened only where they are asked for."""

import os

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from invrob.empirical.data import load, sample, sampled, summarise
from invrob.errors import InputError


def draw(path, shape=(8, 8), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, len(str(path.name)), *path.name.encode()]).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def pictures(tmp_path):
    """Twelve grey pictures of two classes, in a folder with a space and an umlaut in its name."""
    root = tmp_path / "my pïctures"
    for label, name in enumerate(("Ähre", "cat")):
        for k in range(6):
            draw(root / name / f"{k}.png", seed=label)
    return root


def refusal(spec, **how):
    with pytest.raises(InputError) as error:
        load(spec, **how)
    return str(error.value)


def test_a_folder_is_read_as_torchvision_reads_it(pictures):
    draw(pictures / "cat" / "deep er" / "x.JPG", (8, 8, 3))
    theirs = torchvision.datasets.ImageFolder(str(pictures), torchvision.transforms.ToTensor())
    ours = load(f"folder:{pictures}")
    assert ours.classes == tuple(theirs.classes)
    assert torch.equal(ours.test.images, torch.stack([image for image, _ in theirs]))
    assert ours.test.labels.tolist() == theirs.targets
    assert (len(ours.train.labels), len(ours.validation.labels)) == (0, 0)
    assert list(summarise(ours).splits) == ["test"]


def test_grey_pictures_stay_grey_until_one_has_colours(pictures):
    assert load(f"folder:{pictures}").test.images.shape == (12, 1, 8, 8)
    draw(pictures / "cat" / "colour.png", (8, 8, 3))
    assert load(f"folder:{pictures}").test.images.shape == (13, 3, 8, 8)


def test_hidden_files_and_other_files_are_no_pictures(pictures):
    before = load(f"folder:{pictures}").fingerprint
    for name in (".hidden/a.png", "cat/._0.png", "cat/.DS_Store", "cat/readme.txt", ".DS_Store"):
        (pictures / name).parent.mkdir(exist_ok=True)
        (pictures / name).write_bytes(b"no picture")
    assert load(f"folder:{pictures}").fingerprint == before


def test_the_fingerprint_is_of_the_pixels_and_not_of_the_files(pictures):
    before = load(f"folder:{pictures}").fingerprint
    with Image.open(pictures / "cat" / "0.png") as picture:
        picture.save(pictures / "cat" / "0.bmp")
    (pictures / "cat" / "0.png").unlink()
    assert load(f"folder:{pictures}").fingerprint == before
    draw(pictures / "cat" / "0.bmp", seed=9)
    assert load(f"folder:{pictures}").fingerprint != before


def test_pictures_of_several_sizes_need_a_side_and_are_cut_to_the_middle(pictures):
    half = np.zeros((8, 16), np.uint8)
    half[:, 4:12] = 200
    Image.fromarray(half).save(pictures / "Ähre" / "wide.png")
    text = refusal(f"folder:{pictures}")
    assert "several sizes, such as 0.png of 8 x 8 and wide.png of 16 x 8: give the side that they get, as size" in text
    images = load(f"folder:{pictures}", size=4).test.images
    assert images.shape == (13, 1, 4, 4)
    assert (images[-1] * 255).round().unique().tolist() == [200]  # the black ends are cut off


def test_splits_are_folders_of_folders_and_a_missing_one_is_said(tmp_path):
    for split, n in (("train", 20), ("val", 3)):
        for name in ("train", "van"):  # a class may be called train
            for k in range(n):
                draw(tmp_path / split / name / f"{k}.png")
    dataset = load(f"folder:{tmp_path}")
    assert [len(part.labels) for part in (dataset.train, dataset.validation, dataset.test)] == [40, 6, 0]
    with pytest.raises(InputError, match="has no split 'test', only train, validation: use split = 'validation'"):
        sample(f"folder:{tmp_path}", 5)
    assert load(f"folder:{tmp_path / 'train'}").classes == ("train", "van")


def test_without_validation_pictures_a_part_of_the_training_pictures_is_held_out(tmp_path):
    for split in ("train", "test"):
        for name in "ab":
            for k in range(10):
                draw(tmp_path / split / name / f"{k}.png", seed=ord(name))
    dataset = load(f"folder:{tmp_path}")
    assert [len(part.labels) for part in (dataset.train, dataset.validation, dataset.test)] == [18, 2, 20]
    images, labels = sample(f"folder:{tmp_path}", split="validation")
    assert torch.equal(images, dataset.validation.images)
    assert torch.equal(labels, dataset.validation.labels)


def test_no_picture_is_opened_that_is_not_asked_for(pictures):
    whole, chosen = load(f"folder:{pictures}"), sampled(f"folder:{pictures}", 4)
    images, labels = sample(whole, 4)
    assert torch.equal(chosen.images, images)
    assert torch.equal(chosen.labels, labels)
    assert (chosen.of, len(chosen.dataset.test.images)) == (12, 4)
    kept = [k for k, image in enumerate(whole.test.images) if any(torch.equal(image, one) for one in images)]
    files = [pictures / name / f"{k}.png" for name in whole.classes for k in range(6)]
    for k in set(range(12)) - set(kept):
        files[k].write_bytes(b"broken")
    assert torch.equal(sample(f"folder:{pictures}", 4)[0], images)
    assert "7 others cannot be read either" in refusal(f"folder:{pictures}")


@pytest.mark.parametrize("cut", [0, 20, 60])
def test_a_broken_picture_is_named(pictures, cut):
    broken = pictures / "cat" / "3.png"
    broken.write_bytes(broken.read_bytes()[:cut])
    assert refusal(f"folder:{pictures}").startswith(f"{broken} cannot be read as a picture (")


def test_pictures_of_sixteen_bits_and_palettes_keep_their_greys_and_colours(pictures):
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(pictures / "Ähre" / "z.png")
    assert torch.allclose(load(f"folder:{pictures}").test.images[-1, 0] * 65535, torch.tensor(deep.astype(np.float32)))
    with Image.open(pictures / "cat" / "1.png") as grey:
        grey.convert("P").save(pictures / "cat" / "1.png")
    assert load(f"folder:{pictures}").test.images.shape == (13, 3, 8, 8)


def test_a_test_class_that_training_does_not_know_would_shift_the_labels_and_is_refused(tmp_path):
    for path in ("train/b/1.png", "train/c/1.png", "test/a/1.png", "test/b/1.png"):
        draw(tmp_path / path)
    assert "the pictures of test have the classes a, which those of train do not have" in refusal(f"folder:{tmp_path}")


def test_what_is_no_folder_of_classes_is_refused(pictures, tmp_path):
    assert "cannot be read (No such file or directory)" in refusal(f"folder:{tmp_path / 'nowhere'}")
    assert "has 0 folders of classes" in refusal(f"folder:{pictures / 'cat'}")
    for file in pictures.rglob("*.png"):
        file.unlink()
    assert "holds no picture (.jpg, " in refusal(f"folder:{pictures}")


def test_masks_of_0_and_1_are_not_taken_for_black_pictures(pictures):
    for k, file in enumerate(sorted(pictures.rglob("*.png"))):
        Image.fromarray(np.eye(8, k=k % 3, dtype=np.uint8)).save(file)
    assert "the brightest of all pixels is 1 of 255" in refusal(f"folder:{pictures}")


def test_a_link_that_leads_in_a_circle_is_walked_once(pictures):
    os.symlink(pictures / "cat", pictures / "cat" / "again")
    assert len(load(f"folder:{pictures}").test.labels) == 12


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("training", "testing"), ("training_set", "test_set"), ("TRAIN", "Val", "Test")]
)
def test_sets_are_known_by_many_names_and_are_no_classes(tmp_path, names):
    for name in names:
        for k, kind in enumerate(("cat", "dog")):
            draw(tmp_path / name / name / kind / "0.png", seed=k)  # twice the same name, as archives are packed
            draw(tmp_path / name / name / kind / "1.png", seed=k + 2)
    dataset = load(f"folder:{tmp_path}")
    assert dataset.classes == ("cat", "dog")
    assert (len(dataset.train.labels) > 0, dataset.test.labels.tolist()) == (True, [0, 0, 1, 1])


def test_sets_of_other_names_are_refused_and_not_taken_for_classes(tmp_path):
    for name in ("day one", "day two"):
        for kind in ("cat", "dog"):
            draw(tmp_path / name / kind / "0.png")
    assert "in each of them are folders such as 'cat': those are the classes" in refusal(f"folder:{tmp_path}")
    assert load(f"folder:{tmp_path / 'day one'}").classes == ("cat", "dog")


def test_what_an_archive_of_a_mac_holds_besides_is_no_class(pictures):
    (pictures / "__MACOSX").mkdir()
    assert load(f"folder:{pictures}").classes == ("cat", "Ähre")


def test_pictures_that_are_to_be_shown_turned_are_read_as_torchvision_reads_them_and_named(pictures, caplog):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(pictures / "cat" / "6.jpg", exif=exif)
    theirs = torchvision.datasets.ImageFolder(str(pictures), torchvision.transforms.ToTensor())
    ours = load(f"folder:{pictures}")
    assert torch.equal(ours.test.images.expand(-1, 3, -1, -1), torch.stack([image for image, _ in theirs]))
    assert "1 pictures have a mark (EXIF) that they are to be shown turned" in caplog.text
