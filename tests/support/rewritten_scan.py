"""Scans whose readouts or header are changed, as a converter would have written them."""

import h5py
import ismrmrd


def rewrite_scan(path, change=None, header=None):
    """Write an ISMRMRD file again.

    Args:
        path: the file.
        change: called with every acquisition, which it may change; the acquisition is left out if it returns False.
        header: called with the header's XML, returns the new one.

    """
    with h5py.File(path) as file:
        xml = file["dataset/xml"][0]
        n = len(file["dataset/data"])
    with ismrmrd.Dataset(str(path), mode="r") as source:
        acquisitions = [source.read_acquisition(i) for i in range(n)]
    changed = path.with_suffix(".changed.h5")
    with ismrmrd.Dataset(str(changed), mode="w") as target:
        target.write_xml_header(header(xml.decode()).encode() if header else xml)
        for acquisition in acquisitions:
            if change is None or change(acquisition) is not False:
                target.append_acquisition(acquisition)
    changed.replace(path)
