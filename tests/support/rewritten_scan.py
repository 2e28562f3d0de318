"""Scans whose readouts or header are changed, as a converter would have written them."""

import h5py
import numpy as np


def rewrite_scan(path, change=None, header=None):
    """Change the readouts and the header of an ISMRMRD file.

    Args:
        path: the file.
        change: called with every row of the file, whose fields head, data and traj it may change; the row is left out
            if it returns False.
        header: called with the header's XML, returns the new one.

    """
    with h5py.File(path, "r+") as file:
        group = file["dataset"]
        if header:
            group["xml"][0] = header(group["xml"][0].decode()).encode()
        if change:
            table = group["data"]
            rows = table[()]
            answers = [change(row) for row in rows]
            kept = np.array([answer is None or bool(answer) for answer in answers])
            table.resize((kept.sum(),))
            table[:] = rows[kept]


def samples(row):
    """The samples (coils, samples) of a row, as a view."""
    return row["data"].view(np.complex64).reshape(int(row["head"]["active_channels"]), -1)


def spoke(row):
    """The index of a row in the train; None if it is noise."""
    noise = row["head"]["flags"] >> np.uint64(18) & np.uint64(1)  # ACQ_IS_NOISE_MEASUREMENT is 19
    return None if noise else int(row["head"]["idx"]["kspace_encode_step_1"])
