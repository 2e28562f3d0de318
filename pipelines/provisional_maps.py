"""Provisional maps: what a slice shows while it is still being acquired, computed beside the scan."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import ismrmrd

from spokestream.errors import InputError
from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.gridding import Gridding, PartialSlice
from spokestream.gadgets.imaging.image_kinds import ADJOINT
from spokestream.gadgets.map_images import MapImages
from spokestream.gadgets.messages import Fingerprints, SliceEnd, SliceStart, SpokeBlock
from spokestream.gadgets.provisional_matching import ProvisionalMatching, encodes
from spokestream.gadgets.scan.cancellation import Cancellation, CancelledScanError
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.gadgets.stored_maps.provisional import PROVISIONAL, mark_provisional
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["ProvisionalMaps"]

LAST_BEGIN = 15 / 16
"""Fraction of the spokes after which no maps are begun. Those of a slice of 350 pixels take about as long as the other
spokes; later ones would hardly come, and final maps would share the processor with them."""
METHOD = ("denoising", "dictionary", "images", "matcher", "network", "refinement")
"""Entries of the provenance that say how maps were computed. Provisional maps have their own."""


class ProvisionalMaps(Gadget[SliceStart | SpokeBlock | SliceEnd, Fingerprints | ismrmrd.Image]):
    """Gridding that also yields images of provisional maps, every few spokes from the spoke on that they are encoded.

    They are computed in another thread, from a copy of what is gridded so far, and yielded with the next frame. Their
    images are those of the adjoint, also if those of the final maps are iterative. Final maps do not depend on them.
    They are skipped while earlier ones are computed and when the slice is nearly complete, and given up when its last
    spoke has come. If they fail, the client is warned once, and the scan goes on.

    Args:
        scan: the scan.
        gridding: the gridding of the scan.
        basis: its temporal basis.
        model: the tissue model of the maps.
        every: number of spokes from provisional maps to the next ones.
        matching: makes the gadget that maps the fingerprints of an incomplete slice, for a context of its own.
        datatype: pixel type of the images, see `MapImages`.

    Raises InputError if the images of frames are combined at once, or if no maps can come before the last spoke.

    """

    accepts = (SliceStart, SpokeBlock, SliceEnd)

    def __init__(
        self,
        scan: ScanContext,
        gridding: Gridding,
        basis: TemporalBasis,
        model: TissueModel,
        every: int,
        matching: Callable[[ScanContext], ProvisionalMatching],
        datatype: str,
    ) -> None:
        if gridding.combines_at_once(n_coils=1):
            raise InputError(
                f"The {basis.weights.shape[1]} images of this temporal basis are too many for provisional maps; set "
                "provisional = 0, or choose a basis or a network of fewer images."
            )
        self._scan, self._gridding, self._model, self._every = scan, gridding, model, every
        self._last_begin = LAST_BEGIN * len(scan.sequence)
        later = range(int(self._last_begin / basis.spokes_per_frame), len(basis.weights))
        if every > self._last_begin or not encodes(model, scan.sequence, basis.without([*later])):
            raise InputError(
                f"No provisional maps can come after {every} of {len(scan.sequence)} spokes, before the slice is "
                "complete; set provisional to a smaller number, or to 0."
            )
        quiet = logging.Logger("provisional", logging.CRITICAL + 1)  # final maps repeat what is worth a warning
        self._context = replace(
            scan, log=quiet, provenance={}, integrity=IntegrityLedger(), cancellation=Cancellation()
        )
        self._matching = matching(self._context)
        self._maps = Chain([self._matching, MapImages(self._context, datatype)])
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[list[ismrmrd.Image]] | None = None
        self._wanted = False
        """Whether what is running may still be sent."""
        self._last = 0
        """The number of spokes from which the last maps were computed."""
        self._sent: Counter[int] = Counter()
        self._warned = False

    @property
    def busy(self) -> bool:
        """Whether maps are being computed. Whoever feeds a chain only when it is not gets all of them."""
        return self._running is not None and not self._running.done()

    def feed(self, message: SliceStart | SpokeBlock | SliceEnd, /) -> Iterator[Fingerprints | ismrmrd.Image]:
        """Grid a frame, and yield provisional images that are ready; at the end of the slice, its coefficients."""
        if isinstance(message, SliceStart):
            yield from self._gridding.feed(message)
            return
        if isinstance(message, SliceEnd):
            self._give_up()
            self._last = 0
            yield from self._gridding.feed(message)
            return
        if self._gridding.combines_at_once(len(message.data)):
            self._warn("the images of all coils need too much memory; compress to fewer coils")
        elif self._thread is None:
            self._thread = workers(1)
            self._running = self._thread.submit(self._prepare)
        yield from self._ready()
        yield from self._gridding.feed(message)
        if self._last + self._every <= self._gridding.spokes_so_far <= self._last_begin:
            self._begin()

    def close(self) -> None:
        """Give up what is running, and release everything."""
        self._give_up()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._maps.close()
        self._gridding.close()

    def _begin(self) -> None:
        """Begin to compute maps of what is gridded, unless earlier ones are still computed or it is too little."""
        sequence, spokes = self._scan.sequence, self._gridding.spokes_so_far
        if (
            self._thread is None
            or self._running is not None
            or not encodes(self._model, sequence, self._gridding.basis_so_far)
        ):
            return
        self._last = spokes
        words = f"{spokes} of {len(sequence)} spokes"
        self._context.provenance.pop("conjugation", None)  # each slice tells it by itself
        shared = {key: text for key, text in self._scan.provenance.items() if key not in METHOD}
        self._context.provenance.update({**shared, "images": ADJOINT, PROVISIONAL: words})
        self._context.cancellation = Cancellation()
        self._running, self._wanted = self._thread.submit(self._images, self._gridding.so_far()), True

    def _prepare(self) -> list[ismrmrd.Image]:
        self._matching.prepare()
        return []

    def _images(self, partial: PartialSlice) -> list[ismrmrd.Image]:
        context = self._context
        return list(self._maps.feed(partial.fingerprints(context.threads, context.cancellation.check)))

    def _ready(self) -> Iterator[ismrmrd.Image]:
        """The images that have been computed since the last call."""
        if self._running is None or self.busy:
            return
        running, self._running = self._running, None
        try:
            images = running.result()
        except CancelledScanError:
            return
        except Exception as error:  # noqa: BLE001  final maps are worth more than provisional ones
            self._warn(str(error))
            return
        for image in images if self._wanted else ():
            series = int(image.image_series_index)
            yield mark_provisional(image, self._sent[series])
            self._sent[series] += 1

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._scan.log.warning("Provisional maps are missing: %s.", reason.rstrip("."))
        self._warned = True

    def _give_up(self) -> None:
        self._context.cancellation.cancel()
        self._wanted = False
