"""Maps as DICOM: images for every viewer, and parametric maps with units for software that measures."""
