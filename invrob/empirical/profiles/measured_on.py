"""Which images rates are of, so that rates of other images are never taken for comparable."""

from dataclasses import dataclass

from invrob.records import Record


@dataclass(frozen=True, eq=False)
class MeasuredOn(Record):
    """The images that a card or a network of a run was measured on; a field is None where nobody kept it.

    Args:
        images: how many they are.
        images_fingerprint: of the images themselves, as `images_fingerprint` says.
        dataset: the name of the data set that they were taken from.
        dataset_fingerprint: of that data set, as `Dataset.fingerprint`.
        split: the part of it, such as "test".

    Example:
        >>> from invrob.empirical.profiles import MeasuredOn
        >>> run = MeasuredOn(600, None, "mnist-mini", "af", "test")
        >>> run.same_images(MeasuredOn(600, "1c", "mnist-mini", "af", "test"))
        True
    """

    images: int
    images_fingerprint: str | None = None
    dataset: str | None = None
    dataset_fingerprint: str | None = None
    split: str | None = None

    def same_images(self, other: "MeasuredOn") -> bool | None:
        """Whether the images are the same; None where that cannot be known.

        Of the same part of the same data set, the same number of images is the same choice of them."""
        data = self.same_data(other)
        if self.images != other.images or data is False:
            return False
        if self.images_fingerprint is not None and other.images_fingerprint is not None:
            return self.images_fingerprint == other.images_fingerprint
        return data

    def same_data(self, other: "MeasuredOn") -> bool | None:
        """Whether the images are of the same part of the same data set; None where that cannot be known."""
        ours, theirs = (self.dataset_fingerprint, self.split), (other.dataset_fingerprint, other.split)
        return None if None in (*ours, *theirs) else ours == theirs
