import pytest

from spokestream.errors import ScanError
from spokestream.gadgets.gridding import MOST_UNASKED_BYTES
from spokestream.pipelines.node.memory.plan import MARGIN, plan_scan
from spokestream.pipelines.selection import configure, select
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.scan_files.protocol import Protocol, header_xml

MiB = 1 << 20


def plan(pipeline, matrix=96, coils=4, threads=1, sequence="t1ff-2d-1400", queue_bytes=256 * MiB, **settings):
    xml = header_xml(Protocol(sequence=load_sequence(sequence), matrix=matrix, n_coils=coils))
    selection = select(pipeline, settings=configure({"threads": threads})).with_parameters(settings)
    return plan_scan(selection, xml, coils, 2 * matrix * (8 * coils + 8), queue_bytes)


@pytest.mark.parametrize(
    ("taken_mib", "scan"),
    [
        (138, {"pipeline": "mrf_t1ff"}),
        (155, {"pipeline": "mrf_t1ff", "threads": 2}),
        (188, {"pipeline": "mrf_t1ff", "basis": "frames"}),
        (48, {"pipeline": "mrf_t1ff_net"}),
        (263, {"pipeline": "mrf_t1ff", "matrix": 192, "coils": 8}),
        (268, {"pipeline": "mrf_t1ff", "matrix": 192, "coils": 8, "threads": 2}),
        (456, {"pipeline": "mrf_t1ff", "matrix": 192, "coils": 8, "basis": "frames"}),
        (457, {"pipeline": "mrf_t1ff", "matrix": 192, "coils": 8, "basis": "frames", "threads": 2}),
        (136, {"pipeline": "mrf_t1ff_net", "matrix": 192, "coils": 8}),
        (169, {"pipeline": "mrf_t1ff_net", "matrix": 192, "coils": 8, "threads": 2}),
        (246, {"pipeline": "mrf_t1t2", "sequence": "fisp-fang-576", "images": "adjoint"}),
        (466, {"pipeline": "mrf_t1t2_net", "sequence": "fisp-fang-576"}),
        (824, {"pipeline": "mrf_t1ff", "matrix": 320, "coils": 12, "basis": "frames"}),
        (414, {"pipeline": "mrf_t1ff", "matrix": 320, "coils": 12}),
        (454, {"pipeline": "mrf_t1ff", "matrix": 320, "coils": 12, "threads": 2}),
    ],
)
def test_the_plan_is_at_least_the_memory_that_a_node_took_and_not_much_more(taken_mib, scan):
    """Memory as `benchmarks/memory_plan.py` measured it; small scans find much of what they need in the process."""
    assert taken_mib * MiB <= plan(**scan).total <= (1.6 * taken_mib + 150) * MiB


@pytest.mark.parametrize(("pipeline", "taken_mib", "without"), [("mrf_t1ff", 547, 505), ("mrf_t1ff_net", 503, 400)])
def test_provisional_maps_are_planned_with_1_to_2_times_the_memory_that_a_scan_with_them_took(
    pipeline, taken_mib, without
):
    """Memory as `benchmarks/memory_plan.py` measured it, for 12 coils compressed to 8."""
    scan = {"pipeline": pipeline, "matrix": 350, "coils": 12, "threads": 2}
    planned = plan(**scan, provisional=128).total
    assert 1.0 <= planned / (taken_mib * MiB) <= 2.0
    assert planned - plan(**scan).total >= (taken_mib - without) * MiB


def test_iterative_images_are_planned_with_1_to_1_4_times_the_memory_that_they_took():
    """Peaks of `reconstruct` with them and with those of the adjoint, in processes of their own."""
    scan = {"pipeline": "mrf_t1t2", "sequence": "fisp-fang-576", "matrix": 256, "coils": 12}
    more = plan(**scan, images="iterative").total - plan(**scan, images="adjoint").total
    assert 1.0 <= more / (947 * MiB) <= 1.4
    assert plan(**scan) == plan(**scan, images="iterative")


@pytest.mark.parametrize(("pipeline", "taken_mib"), [("mrf_t1ff", 1328), ("mrf_t1ff_net", 1365)])
def test_consistent_images_are_planned_with_1_to_1_6_times_the_memory_that_they_took(pipeline, taken_mib):
    """Peaks of `reconstruct` with them and with those of the adjoint, in processes of their own."""
    scan = {"pipeline": pipeline, "matrix": 350, "coils": 12, "threads": 2}
    more = plan(**scan, images="consistent").total - plan(**scan, images="adjoint").total
    assert 1.0 <= more / (taken_mib * MiB) <= 1.6


def test_iterative_images_that_nobody_asked_for_are_planned_with_their_largest_memory():
    scan = {"pipeline": "mrf_t1t2", "sequence": "fisp-fang-576", "matrix": 512, "coils": 8}
    more = plan(**scan).total - plan(**scan, images="adjoint").total
    assert MARGIN * MOST_UNASKED_BYTES < more < 1.3 * MARGIN * MOST_UNASKED_BYTES


def test_denoising_is_planned_where_it_may_come():
    assert plan("mrf_t1ff", denoise="off").total < plan("mrf_t1ff").total
    assert plan("mrf_t1ff", refine="off") == plan("mrf_t1ff", refine="off", denoise="off")
    assert plan("mrf_t1ff_net") == plan("mrf_t1ff_net", denoise="off")


def test_the_automatic_pipeline_is_planned_like_the_one_that_it_stands_for():
    assert plan("auto") == plan("mrf_t1ff")
    assert plan("auto", sequence="fisp-fang-576") == plan("mrf_t1t2", sequence="fisp-fang-576")


def test_arrays_have_their_sizes():
    one = plan("mrf_t1ff", matrix=192, coils=8)
    assert one.noise == 16 * 4 * 8**2
    assert one.inbox == 1400 * (2 * 192 * (8 * 8 + 8) + 2048)
    assert one.total == pytest.approx(MARGIN * sum(vars(one).values()), abs=1)
    # 18 images for three echo times, and of the thread 8 frames of a coil and 8 transforms, at 1.25 times the matrix
    assert one.grids == (18 + 1 + 1) * 8 * 240**2 * 8


def test_a_first_readout_of_noise_is_planned_as_if_it_were_a_spoke():
    """Noise has no trajectory. A scan that is larger than planned is refused if others have the rest of the memory."""
    xml = header_xml(Protocol(sequence=load_sequence("t1ff-2d-1400"), matrix=96, n_coils=4))
    noise, spoke = (plan_scan(select("mrf_t1ff"), xml, 4, 192 * (8 * 4 + n), 256 * MiB) for n in (0, 8))
    assert noise == spoke


def test_the_inbox_is_at_most_its_limit_but_holds_one_readout():
    assert plan("mrf_t1ff", matrix=192, coils=8, queue_bytes=MiB).inbox == MiB
    assert plan("mrf_t1ff", matrix=192, coils=8, queue_bytes=1).inbox == 2 * 192 * (8 * 8 + 8)


def test_frames_at_the_largest_matrix_exceed_2_gib():
    assert plan("mrf_t1ff", matrix=1024, coils=8, basis="frames").total > 2 << 30


def test_a_scan_that_cannot_be_served_is_refused_with_the_sentence_of_the_chain():
    with pytest.raises(ScanError, match="The pipeline mrf_t1t2 cannot map this scan"):
        plan("mrf_t1t2")
    with pytest.raises(ScanError, match="no <encoding>"):
        plan_scan(select("auto"), "<ismrmrdHeader/>", 1, 1, 1)


def test_the_largest_of_several_encodings_is_planned_whichever_is_the_first():
    def header(matrix):
        return header_xml(Protocol(sequence=load_sequence("t1ff-2d-1400"), matrix=matrix, n_coils=4))

    def encoding(xml):
        return xml[xml.index("<encoding>") : xml.index("</encoding>") + len("</encoding>")]

    small, large = header(32), header(160)
    alone = plan_scan(select("mrf_t1ff"), large, 4, 1, 1).total
    for first, second in ((small, large), (large, small)):
        both = first.replace(encoding(first), encoding(first) + encoding(second))
        assert plan_scan(select("mrf_t1ff"), both, 4, 1, 1).total == alone
    broken = small.replace(encoding(small), encoding(small) + "<encoding/>")
    assert plan_scan(select("mrf_t1ff"), broken, 4, 1, 1) == plan_scan(select("mrf_t1ff"), small, 4, 1, 1)
