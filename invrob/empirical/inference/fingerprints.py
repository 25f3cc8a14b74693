"""What was asked, and about what: SHA-256 sums of a network's numbers and of images, whatever file they came from."""

import hashlib
from itertools import chain

import torch
from torch import Tensor, nn


def images_fingerprint(images: Tensor) -> str:
    """The SHA-256 of images, in hex: of their shape and of their pixels as float32, wherever they lie in memory.

    Args:
        images: [N, C, H, W], of any dtype and on any device.

    Returns:
        64 hex digits: two sets of images have the same ones where they are the same images in the same order.

    Example:
        >>> import torch
        >>> from invrob.empirical.inference import images_fingerprint
        >>> images_fingerprint(torch.zeros(2, 1, 4, 4))[:16]
        'f7f7b3eb711e711a'
    """
    digest = hashlib.sha256(repr([*images.shape]).encode())
    digest.update(_bytes_of(images.detach().float()))
    return digest.hexdigest()


def weights_fingerprint(model: object) -> str | None:
    """The SHA-256 of all numbers of a network, in hex: of its parameters and buffers, by their names.

    Args:
        model: an nn.Module; other callables have no numbers that anybody could list.

    Returns:
        64 hex digits, or None: for what is no module, for a module without any numbers, and for numbers that are not
        in memory, such as those of lazy layers that have seen no image yet.

    Example:
        >>> import torch
        >>> from invrob.empirical.inference import weights_fingerprint
        >>> net = torch.nn.Linear(2, 2)
        >>> before = weights_fingerprint(net)
        >>> _ = net.bias.data.add_(1)
        >>> weights_fingerprint(net) == before
        False
    """
    if not isinstance(model, nn.Module):
        return None
    digest, listed = hashlib.sha256(), False
    try:
        for name, tensor in chain(model.named_parameters(), model.named_buffers()):
            digest.update(repr([name, str(tensor.dtype), *tensor.shape]).encode())
            digest.update(_bytes_of(tensor.detach()))
            listed = True
    except (RuntimeError, ValueError, TypeError, NotImplementedError):  # lazy, quantised or sparse ones, and the like
        return None
    return digest.hexdigest() if listed else None


def _bytes_of(tensor: Tensor) -> memoryview:
    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
