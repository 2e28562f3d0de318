"""Conjugation check: finds out from the fingerprints whether the samples are complex conjugates."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Fingerprints
from spokestream.gadgets.model_fit.conjugates import (
    FEWEST_VOXELS,
    are_conjugates,
    mirrored,
    some_fingerprints,
    tissue_examples,
)
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["ConjugationCheck"]


class ConjugationCheck(Gadget[Fingerprints, Fingerprints]):
    """Conjugates and mirrors the fingerprints of a scan if the tissue model explains only their conjugates.

    The image of conjugate samples is the conjugate image, mirrored at its centre. The first slice with enough tissue
    decides for the whole scan; slices before it, of air for instance, are passed on unchanged.

    Args:
        scan: the scan.
        closed_form: the fingerprints of any tissue in this scan.

    """

    accepts = (Fingerprints,)

    def __init__(self, scan: ScanContext, closed_form: ClosedForm) -> None:
        self._scan = scan
        self._closed_form = closed_form
        self._examples = tissue_examples(closed_form)
        self._conjugate: bool | None = None
        """Whether the samples are conjugates; None as long as no slice has told."""

    def feed(self, message: Fingerprints, /) -> Iterator[Fingerprints]:
        """Check one slice."""
        if self._conjugate is None and np.count_nonzero(message.foreground) >= FEWEST_VOXELS:
            self._conjugate = self._check(message)
        if self._conjugate:
            if message.operator is not None:
                self._scan.provenance["images"] = "adjoint, because the samples are conjugates"
                self._scan.log.warning(
                    "Slice %d: its images were not made consistent, because the samples are conjugates; use "
                    "conjugate=yes.", message.slice + 1,
                )  # fmt: skip
            message = _restored(message)
        yield message

    def _check(self, fingerprints: Fingerprints) -> bool | None:
        examples, basis = self._examples, fingerprints.basis
        if basis is not self._closed_form.basis:
            examples = tissue_examples(self._closed_form.through(basis))
        with workers(1) as pool:  # with more threads, torch would wait for them longer than it computes
            measured = some_fingerprints(fingerprints.data, fingerprints.foreground) / torch.from_numpy(basis.noise)
            conjugate = pool.submit(are_conjugates, measured, examples).result()
        if conjugate:
            self._scan.provenance["conjugation"] = (
                "images conjugated and mirrored, as found in the first slice of tissue"
            )
            self._scan.log.warning(
                "The samples are complex conjugates: tissue explains their conjugates much better. The images were "
                "conjugated and mirrored; they are sharper with the setting conjugate=yes."
            )
        return conjugate


def _restored(message: Fingerprints) -> Fingerprints:
    """The fingerprints of the conjugate samples."""
    adjoint = message.adjoint and _restored(message.adjoint)
    data, foreground = mirrored(message.data.conj()), mirrored(message.foreground)
    return replace(message, data=data, foreground=foreground, adjoint=adjoint, operator=None)
