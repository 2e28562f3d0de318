"""The definitions of the terms of a report; those of maps are in the declarations of the quantities."""

__all__ = ["COUNTS", "FIGURES", "PROVENANCE", "TIMINGS"]

FIGURES = {
    "voxels": "Number of voxels in which the map has a meaning.",
    "mean": "Mean of their values.",
    "standard deviation": "Spread of their values, with n - 1 in the denominator. Anatomy and noise both contribute.",
    "median": "Half of the values are smaller.",
    "expected in a voxel": "Median of the map of standard deviations: the expected error of the value of one voxel.",
}
"""Columns of the table of values."""

COUNTS = {
    "missing": "Spokes of the sequence that did not arrive.",
    "duplicate": "Spokes that arrived twice. The second one is left out.",
    "out_of_order": "Spokes that arrived after a later one. They are used.",
    "late": "Spokes that arrived after the end of their slice. They are left out.",
    "counter_gaps": "Places where the scan counter jumps, because readouts were lost on the way.",
    "changed_shape": "Spokes with another number of coils or samples than the first one. They are left out.",
    "not_finite": "Spokes with values that are not finite or absurdly large. They are left out.",
    "damaged_trajectory": "Spokes whose trajectory is damaged. They are left out.",
    "empty": "Spokes with zeros only. They are left out.",
    "spikes": "Spokes with spikes or interference. They are left out.",
    "unlike_neighbours": "Spokes unlike their neighbours, or of another slice. They are left out.",
    "coil_jumps": "Sudden changes of the signal of some coils. The maps may be wrong.",
    "gain_jumps": "Sudden changes of the signal of all coils. The maps may be wrong.",
    "flagged": "Voxels whose signal contradicts their maps.",
    "foreground": "Voxels of tissue, which were checked.",
    "untrusted": "Voxels in which the map of trust says that a value is wrong, or not explained by the signal.",
    "not_exhaustive": "Voxels without the signal of tissue, compared with the most likely part of the dictionary only.",
    "clipped": "Voxels whose value lies outside the range that an image stores. They have the nearest value.",
    "not_a_number": "Voxels whose value could not be computed. They are stored as 0.",
}
"""What is counted in each slice, by the name of the count."""

PROVENANCE = {
    "basis": "The temporal basis in which fingerprints are represented, and its number of images.",
    "coils": "Receive coils, and to how many virtual coils they were compressed.",
    "conjugation": "Whether the data were complex conjugates of what the signal model expects, and how that is known.",
    "denoising": "The network that moved the maps to how tissue looks, and the digest of its archive, or none.",
    "density": "The weights of the samples in the reconstruction of images.",
    "dictionary": "The dictionary, and the digest of its content.",
    "discarded_samples": "Samples at the ends of readouts that the scanner marked as not usable.",
    "field_strength": "The main magnetic field, and the entry of the header that gives it.",
    "gradient_delays": "Whether delays of the gradients were found in the first spokes and corrected.",
    "gradient_delays_samples": "The delays along x and y and their coupling, in samples, with their uncertainty.",
    "images": "How images were reconstructed.",
    "inversion_efficiency": "Efficiency of the inversion pulse, estimated from the signal; 1 inverts fully.",
    "matcher": "The method that searches the dictionary.",
    "network": "The network, the digest of its archive, its arithmetic and its device.",
    "noise": "The source of the noise covariance of the coils.",
    "pipeline": "The reconstruction.",
    "quality": "The verdict of the physics check on a slice: good, or the likely cause of wrong maps.",
    "refinement": "How the maps were improved after matching or the network.",
    "scale": "The factor that all samples were multiplied by.",
    "sequence": "The pulse sequence.",
    "sequence_source": "Where the sequence comes from: the header, a preset, or the settings.",
    "trajectory": "The source of the trajectory.",
    "trajectory_unit": "The unit in which the trajectory was given.",
    "version": "The version of spokestream.",
}
"""The provenance of the maps, by the key of the entry."""

TIMINGS = {
    "total_s": ("Reconstruction", "s", "Time from the start to the last map."),
    "latency_s": ("Latency", "s", "Time from the last readout to the last map."),
    "peak_memory_mb": ("Peak memory", "MB", "The largest resident memory of the process that wrote this report."),
    "acquisitions": ("Readouts", "", "Number of readouts, noise readouts included."),
    "images": ("Map images", "", "One image for each map and slice."),
}
"""Title, unit and definition of figures of the reconstruction, by their key in `report.json`."""
