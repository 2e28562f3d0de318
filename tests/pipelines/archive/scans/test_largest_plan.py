from spokestream.pipelines.archive.scans.largest_plan import largest_plan
from spokestream.pipelines.selection import select
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


def test_the_largest_scan_is_planned_and_a_broken_one_needs_nothing(thigh, tmp_path):
    simulate_scan(tmp_path / "large.h5", SimulationSettings(matrix=64, coils=6))
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    auto = select("auto")
    alone = largest_plan([thigh], auto), largest_plan([tmp_path / "large.h5"], auto)
    assert 0 < alone[0] < alone[1]
    assert largest_plan([thigh, tmp_path / "large.h5", tmp_path / "broken.h5"], auto) == alone[1]
    assert largest_plan([tmp_path / "broken.h5"], auto) == 0
