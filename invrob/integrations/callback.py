"""Both profiles at the end of validation, as a callback of Lightning."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from invrob.checks import checked_count
from invrob.empirical.inference import Model, images_fingerprint
from invrob.empirical.profiles import Card, MeasuredOn, table_epsilons, usual_epsilons
from invrob.errors import InputError
from invrob.integrations.batches import BatchToImages, images_and_labels
from invrob.integrations.collected import Collected
from invrob.integrations.measuring import Audited, ByGradients, Invariance, Robustness, named_rates
from invrob.integrations.pixels import Normalised

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.utilities import rank_zero_warn
else:
    try:
        from lightning.pytorch import Callback
        from lightning.pytorch.utilities import rank_zero_warn
    except ModuleNotFoundError:  # the same package under its other name
        from pytorch_lightning import Callback
        from pytorch_lightning.utilities import rank_zero_warn

THETAS = (30.0, 90.0, 180.0)  # a few of the usual ones: each is a curve in a logger


class ProfilesCallback(Callback):
    """Log the rate of invariance and the robustness of a network at the end of validation, with Lightning's Trainer.

    Images are collected from the validation batches as they pass by: up to `images`, the same in every epoch, however
    the loader shuffles them and among however many processes. With several loaders those of the first are taken. All
    processes measure the same images, so that the numbers are the same in each and nothing waits.

    Logged, for each theta and epsilon: "invariance/theta_90", "robustness/epsilon_0.1" (8/255 is written 8_255), with
    "_low", "_high" and, where the loader has labels, "_accuracy" behind. Also "robustness/sound", 1 where the verdict
    on the attack is "sound", else 0, and "profiles/images". `ModelCheckpoint(monitor="robustness/epsilon_0.1")` can use
    them. `card` is the whole result of the last time, to be plotted or saved.

    The sanity check measures nothing, and refuses images that could not be measured. Under mixed precision the network
    is measured in the precision of its weights. What cannot be measured the first time is an error; later it is a
    warning, and training goes on.

    Args:
        epsilons: of the robustness, in pixels of [0, 1], increasing; two of the usual ones where left out.
        thetas: of the invariance, degrees in [0, 180], increasing; 30, 90 and 180 where left out.
        norm: "linf" or "l2".
        attack: "auto" or `Auto(limit)`, "pgd" or `PGD(steps, restarts)`, "square" or `Square(queries)`.
        audit: how many images are audited; 0 for none, which costs half and leaves the verdict at "unaudited".
        images: how many images are measured, at most.
        every_n_epochs: 1 for each epoch with a validation, 5 for the fifth, the tenth and so on.
        normalised: the mean and the std that the loader's images were normalised by, numbers or one per channel. None:
            they are in [0, 1].
        batch_to_images: how images are taken out of a batch: None for (images, labels), images alone, or a dict with
            the usual names; the name of the images in a dict; or a function to images or (images, labels).

    Raises:
        InputError: for settings outside their ranges; in a validation for images outside [0, 1], for batches without
            images, and as the profile functions do.

    Example:
        >>> from invrob.integrations import ProfilesCallback
        >>> callback = ProfilesCallback(epsilons=[0, 0.1], every_n_epochs=5, normalised=(0.1307, 0.3081))
        >>> callback.card is None  # until the first validation of the fifth epoch
        True
    """

    card: Card | None  # both profiles of the last time; None before

    def __init__(
        self,
        epsilons: Iterable[float] | None = None,
        thetas: Iterable[float] | None = THETAS,
        *,
        norm: str = "linf",
        attack: ByGradients = "auto",
        audit: Audited = "auto",
        images: int = 200,
        every_n_epochs: int = 1,
        normalised: Normalised | None = None,
        batch_to_images: BatchToImages = None,
    ) -> None:
        self.invariance = Invariance.checked(thetas, "rotation")
        self.robustness = Robustness.checked(epsilons, norm, attack, audit)
        self.every_n_epochs, self.batch_to_images = checked_count("every_n_epochs", every_n_epochs), batch_to_images
        self.collected = Collected(images, 0, normalised)
        self.card = None

    def network(self, module: "LightningModule") -> Model:
        """What is measured: the module itself, by its `forward`. Override it for a module that has its network
        elsewhere: `return module.net`."""
        return module

    def on_validation_epoch_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        """Forget the images of the validation before."""
        self.collected.reset()
        self.collected.to(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: "Trainer",
        pl_module: "LightningModule",
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep images of the batch."""
        if dataloader_idx == 0 and (trainer.sanity_checking or self._is_due(trainer)):
            images, labels = images_and_labels(batch, self.batch_to_images)
            try:
                self.collected.update(images, labels)
            except InputError as error:
                raise InputError(f"ProfilesCallback cannot measure a batch of the validation: {error}") from None

    def on_validation_epoch_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        """Measure the network and log the numbers."""
        if trainer.sanity_checking or not self._is_due(trainer):
            return
        try:
            card = self._measured(pl_module)
        except InputError as error:
            told = f"ProfilesCallback has measured nothing at the end of epoch {trainer.current_epoch}: {error}"
            if self.card is None:
                raise InputError(told) from None
            rank_zero_warn(told)
            return
        finally:
            self.collected.reset()
        self._warn(card)
        self.card = card
        rates = named_rates(card.invariance, "invariance/theta") | named_rates(card.robustness, "robustness/epsilon")
        rates |= {"robustness/sound": float(card.verdict == "sound"), "profiles/images": float(card.invariance.images)}
        pl_module.log_dict(rates, sync_dist=trainer.world_size > 1)

    def _is_due(self, trainer: "Trainer") -> bool:
        return trainer.state.fn != "fit" or (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def _measured(self, module: "LightningModule") -> Card:
        with self.collected.sync_context():
            images, labels = self.collected.chosen()
        network, normalised = self.network(module), self.collected.normalised
        how = self.robustness
        if how.epsilons is None:
            how = replace(how, epsilons=tuple(table_epsilons(usual_epsilons(how.norm, images.shape[1]))))
        try:
            invariance = self.invariance.measure(network, images, labels, normalised)
        except NotImplementedError:
            raise InputError(
                f"the {type(network).__name__} is asked by its forward(images), and has none: give it one, or use "
                "a ProfilesCallback of your own whose network(self, module) returns the network, such as module.net"
            ) from None
        robustness = how.measure(network, images, labels, normalised)
        return Card(invariance, robustness, MeasuredOn(len(images), images_fingerprint(images)))

    def _warn(self, card: Card) -> None:
        """Say once, and again when it changes, that the robustness is not to be believed."""
        if card.verdict in ("masked", "weak") and (self.card is None or self.card.verdict != card.verdict):
            profile = card.robustness
            reasons = "; ".join(profile.sanity.reasons) or getattr(profile, "shortfall", "")
            rank_zero_warn(f"ProfilesCallback: the verdict on the attack is {card.verdict!r}: {reasons}")
