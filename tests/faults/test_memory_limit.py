"""Memory that really runs out: a process of its own under a limit of the operating system."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from torch import nn
from invrob import invariance_profile

class Greedy(nn.Module):
    def forward(self, images):
        flat = images.flatten(1)
        return flat.repeat(1, 2000)[:, :7840].view(len(flat), 10, -1).mean(2) + flat[:, :10]  # 6 MB for each image

torch.set_num_threads(1)
images = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
free = invariance_profile(Greedy(), images, [0, 90])
room = int(sys.argv[1]) * 2**20
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room,) * 2)
tight = invariance_profile(Greedy(), images, [0, 90])
assert (tight.rate == free.rate).all() and (tight.per_image == free.per_image).all()
"""


def profile_with(room):
    """Measure with room for so many more MiB."""
    command = [sys.executable, "-c", PROGRAM, str(room)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
def test_a_batch_that_does_not_fit_is_halved_and_the_profile_is_the_same():
    done = profile_with(room=150)
    assert done.returncode == 0, done.stderr
    assert "out of memory: 16 images at a time instead of 32" in done.stderr


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
def test_an_image_that_does_not_fit_is_an_error_with_the_way_out():
    done = profile_with(room=3)
    assert done.returncode == 1
    assert "InputError: a single image does not fit into memory" in done.stderr
