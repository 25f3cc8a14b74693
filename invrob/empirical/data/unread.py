"""What is said of files and folders of a user that cannot be read, also before PyTorch is loaded."""

from pathlib import Path

from invrob.errors import InputError
from invrob.files import expanded

ARRAYS = "images, labels, or train_images, train_labels, test_images, test_labels (and label_names)"
PICTURES = "a folder per class with pictures in it, or such folders in train, val and test"


def unread(kind: str, path: str, error: OSError) -> InputError:
    """What to raise where "npz:PATH" or "folder:PATH" cannot be read; kind: which of these."""
    why = error.strerror or error
    if kind == "npz":
        return InputError(f"{path} cannot be read ({why}): give the path of an .npz file that holds {ARRAYS}")
    return InputError(f"{path} cannot be read ({why}): folder:PATH takes {PICTURES}")


def check_there(kind: str, path: str) -> None:
    """Raises InputError where the file or the folder of "npz:PATH" or "folder:PATH" is not there."""
    place: Path = expanded(path)
    try:
        place.stat()
    except OSError as error:
        raise unread(kind, str(place), error) from None
