"""Models that want channels last are known by what they do with the first images, and others are left alone."""

import warnings

import disguises as kinds
import pytest
import torch
from disguises import Net
from torch import nn

import invrob
from invrob import InputError
from invrob.empirical.inference import called, evaluating, logits, logits_note

GREY, COLOUR = kinds.pictures(1, 255), kinds.pictures(3, 255)
TURNS = [
    kinds.Permuted,
    kinds.TransposedTwice,
    kinds.TransposedFromTheBack,
    kinds.Moved,
    kinds.Summed,
    kinds.Unbound,
]


def asked(model, images=GREY):
    with evaluating(model):
        return logits(model, images)


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.__name__)
@pytest.mark.parametrize("flat", [False, True], ids=["convolution", "any order of pixels"])
@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
def test_however_a_model_turns_channels_last_the_line_that_is_told_makes_it_the_network_inside(turn, flat, images):
    net = Net(images.shape[1], flat).eval()
    for model in (turn(net), lambda x: turn(net)(x)):
        with pytest.raises(InputError, match="takes channels last") as caught:
            asked(model, images)
        line = str(caught.value).partition("; use ")[2].partition(", which takes channels first")[0]
        names = {"model": model, "torch": torch, "torchvision": __import__("torchvision")}
        exec(line, names)
        torch.testing.assert_close(asked(names["model"], images), asked(net, images))


class Columns(nn.Module):
    """A recurrent network that reads [N, C, H, W] column by column."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRU(3 * 8, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.cell(x.permute(0, 3, 1, 2).flatten(2))[0][:, -1])


class ManyChannels(nn.Module):
    """For 8 channels: a picture of 8 rows has none of them."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(8, 4, 1), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


@pytest.mark.parametrize(
    "inside", [kinds.LastInside, kinds.ThereAndBack, lambda net: kinds.ToLast(kinds.Permuted(net))]
)
@pytest.mark.parametrize("flat", [False, True])
def test_channels_last_inside_alone_are_no_matter(inside, flat):
    net = Net(3, flat).eval()
    torch.testing.assert_close(asked(inside(net), COLOUR), asked(net, COLOUR))


def test_a_network_that_takes_channels_first_and_nothing_else_may_turn_them():
    network = Columns().eval()
    with torch.no_grad():
        torch.testing.assert_close(asked(network, COLOUR), network(COLOUR))


def test_rows_and_columns_that_are_swapped_are_warned_about_where_the_layout_matters():
    grey, colour = kinds.Mirrored(Net(1, True)).eval(), kinds.Mirrored(Net(3, True)).eval()
    with torch.no_grad():
        torch.testing.assert_close(asked(grey), grey(GREY))  # the same in both layouts
        with pytest.warns(UserWarning, match=r"turns images \[N, 3, 8, 8\] by transpose\(1, 3\), .* channels last"):
            answers = asked(colour, COLOUR)
        torch.testing.assert_close(answers, colour(COLOUR))


def test_a_network_for_more_channels_is_not_called_one_for_channels_last():
    with pytest.raises(RuntimeError, match="to have 8 channels, but got 1"):
        asked(ManyChannels())


def test_an_error_that_a_model_raises_by_itself_is_its_own():
    calls = []

    def model(x):
        calls.append(x.shape)
        if len(calls) == 1:
            raise RuntimeError("now and then")
        return x.flatten(1)

    with pytest.raises(RuntimeError, match="now and then"):
        asked(model)


def test_an_error_comes_as_the_model_has_raised_it():
    def model(x):
        raise KeyError("mask")

    with pytest.raises(KeyError, match="mask"):
        asked(model)


def test_what_a_model_is_asked_about_the_other_layout_is_no_turn_of_its_own():
    class Raising(kinds.Wrapped):
        def forward(self, x):
            raise KeyError(f"mask of {len(self.net(x))}")

    inside = Raising(kinds.ToLast(kinds.Permuted(Net(3, True)))).eval()
    with pytest.raises(KeyError, match="mask of 12"):
        asked(lambda x: called(inside, x), COLOUR)


def test_watching_draws_nothing_and_happens_once():
    class Noisy(kinds.Mirrored):
        def forward(self, x):
            seen.append(tuple(x.shape[1:]))
            return super().forward(x + torch.rand_like(x))

    seen = []
    model = Noisy(Net(1, True)).eval()
    torch.manual_seed(3)
    with torch.no_grad():
        expected = [kinds.Mirrored(model.net)(GREY + torch.rand_like(GREY)) for _ in range(3)]
    torch.manual_seed(3)
    with evaluating(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for wanted in expected:
            torch.testing.assert_close(logits(model, GREY), wanted)
    assert seen == [(1, 8, 8), (8, 8, 1), (1, 8, 8), (1, 8, 8)]


def test_outside_of_evaluating_nobody_watches():
    model = kinds.Permuted(Net(1, True)).eval()
    with torch.no_grad():
        assert torch.equal(called(model, GREY), model(GREY))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_with_numbers_in_it_can_be_watched():
    for flat in (False, True):
        net = Net(1, flat).eval()
        torch.testing.assert_close(asked(torch.jit.trace(net, GREY)), asked(net))
        with pytest.raises(InputError, match="takes channels last"):
            asked(torch.jit.trace(kinds.Permuted(net), GREY.permute(0, 2, 3, 1)))


def test_a_batch_size_that_was_found_by_trial_is_noted(tmp_path):
    class FourAtATime(nn.Module):
        def forward(self, x):
            return x.reshape(4, 64)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.script(FourAtATime()), tmp_path / "four.pt")
    loaded = invrob.load_model(tmp_path / "four.pt")
    assert logits_note(loaded.model, GREY[:2]) == "the network takes 4 images at a time: it is asked in such batches"
