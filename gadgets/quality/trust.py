"""The map of trust: which voxels of a slice have a value that the signal contradicts, and how."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import Float, Mask, ParameterMaps
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.simulator.physics.quantities import AT_LIMIT, MISFIT, TRUSTED, masked, wrong_code
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["at_limits", "judged_values", "properties_at_limits", "trust_map"]


def at_limits(model: TissueModel, message: ParameterMaps) -> dict[str, Mask]:
    """Parameter -> mask (y, x) of the voxels of the foreground whose value is the lowest or the highest possible one.

    Values without a meaning are at no limit, nor are those of a map that has one possible value. The fraction is left
    out: one of 0 or 1 says nothing of values beyond.
    """
    spans = zip(model.parameters, Unknowns(model, message.limits).spans, strict=True)
    return {
        p.name: masked(p.quantity.where, message.foreground, message.maps)
        & np.isin(message.maps[p.name], np.asarray(span, np.float32))
        for p, span in spans
        if p.name != model.fraction and span[0] < span[1]
    }


def properties_at_limits(model: TissueModel, message: ParameterMaps) -> dict[str, Mask]:
    """The masks of `at_limits` of the properties of the voxel, such as B1: those to which the method gives limits."""
    return {name: reached for name, reached in at_limits(model, message).items() if name in message.limits}


def judged_values(model: TissueModel, maps: Mapping[str, Float], mask: Mask) -> NDArray[np.bool_]:
    """The values (voxels, parameters) of the voxels of a mask that have a meaning."""
    return np.stack([masked(p.quantity.where, mask, maps)[mask] for p in model.parameters], 1)


def trust_map(
    model: TissueModel, message: ParameterMaps, mask: Mask, errors: Float, wrong: NDArray[np.int8], misfit: Mask
) -> Float:
    """The codes (y, x) of `spokestream.simulator.physics.quantities`; 0 outside the foreground.

    A voxel has one code: that it is at a limit of the method; else the parameter that is wrong with the largest error
    over its standard deviation; else that its signal is not explained.

    Args:
        model: the tissue model of the maps.
        message: the maps of the slice.
        mask: (y, x) mask of the voxels that were compared.
        errors: (voxels, parameters) errors over their standard deviations.
        wrong: (voxels, parameters) 1 where a value should be higher, -1 where it should be lower, 0 elsewhere.
        misfit: (y, x) mask of the voxels whose own signal contradicts the maps.

    """
    trust = np.where(misfit, np.float32(MISFIT), np.float32(TRUSTED))
    largest = np.where(wrong != 0, np.abs(errors), 0).argmax(1)
    codes = np.array([wrong_code(p.quantity) for p in model.parameters])[largest]
    directions = np.take_along_axis(wrong, largest[:, None], 1)[:, 0]
    trust[mask] = np.where(directions != 0, directions * codes, trust[mask])
    for reached in at_limits(model, message).values():
        trust[reached] = AT_LIMIT
    return np.asarray(trust, np.float32)
