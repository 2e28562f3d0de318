from types import SimpleNamespace

import pytest

from spokestream.pipelines.files.plane import plane_of


def image(directions, position):
    read, phase, normal = directions
    return SimpleNamespace(
        matrix_size=(14, 9, 1), field_of_view=(280.0, 270.0, 8.0), read_dir=read, phase_dir=phase, slice_dir=normal,
        position=position,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("directions", "position", "edges", "where"),
    [
        # LPS: columns to the patient's left, rows to the back, slices to the head, seen from the feet
        (((1, 0, 0), (0, 1, 0), (0, 0, 1)), (3, 4, -12.5), "RLAP", "F 12.5 mm"),
        # coronal, head above
        (((1, 0, 0), (0, 0, -1), (0, 1, 0)), (0, 20, 0), "RLHF", "P 20.0 mm"),
        # sagittal, front on the left
        (((0, 1, 0), (0, 0, -1), (-1, 0, 0)), (7, 0, 0), "APHF", "L 7.0 mm"),
    ],
)
def test_edges_and_position_are_those_of_the_patient(directions, position, edges, where):
    plane = plane_of(image(directions, position))
    assert plane.left + plane.right + plane.top + plane.bottom == edges
    assert plane.position == where
    assert plane.pixel_aspect == pytest.approx(1.5)


def test_an_oblique_slice_names_two_axes_the_larger_first():
    plane = plane_of(image(((0.8, 0.6, 0), (0, 0, -1), (-0.6, 0.8, 0)), (0, 0, 0)))
    assert (plane.right, plane.left, plane.top) == ("LP", "RA", "H")
    assert plane.position == "0.0 mm"
    nearly = plane_of(image(((0.97, 0.243, 0), (-0.243, 0.97, 0), (0, 0, 1)), (0, 0, 0)))
    assert (nearly.right, nearly.bottom) == ("L", "P")


def test_a_slice_without_directions_has_no_letters():
    plane = plane_of(image([(0, 0, 0)] * 3, (0, 0, 0)))
    assert plane.left == plane.right == plane.top == plane.bottom == ""
