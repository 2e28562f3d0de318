"""Replays are told from scans at a scanner's pace by time stamps and the clock."""

import ismrmrd
import pytest

from spokestream.pipelines.node.workers.pace import Pace


def header(stamp):
    return ismrmrd.AcquisitionHeader(acquisition_time_stamp=stamp)


@pytest.mark.parametrize(("speed", "ahead"), [(0.5, False), (1, False), (2, True), (1000, True)])
def test_only_what_comes_faster_than_it_was_measured_is_ahead(speed, ahead):
    now = 100.0
    pace = Pace(lambda: now)
    found = []
    for i in range(1000):  # 5 s of a scanner, whose clock began long ago
        now = 100.0 + i * 0.005 / speed
        found.append(pace.is_ahead(header(20_000_000 + 2 * i)))
    assert found[0] is False
    assert found[-1] is ahead
    assert sorted(found) == found


def test_a_scanner_that_sends_late_is_not_ahead():
    now = 0.0
    pace = Pace(lambda: now)
    assert not pace.is_ahead(header(0))
    now = 3.0  # the network was interrupted
    assert not any(pace.is_ahead(header(stamp)) for stamp in range(0, 1200, 2))  # 3 s at once


def test_stamps_of_zero_and_other_items_say_nothing():
    pace = Pace(lambda: 0.0)
    assert not any(pace.is_ahead(header(0)) for _ in range(100))
    assert not pace.is_ahead(ismrmrd.WaveformHeader())


@pytest.mark.parametrize(("seconds", "replay"), [(0.1, True), (0.24, True), (0.26, False), (0.5, False), (3.0, False)])
def test_a_short_scan_is_told_by_the_time_that_all_of_it_took(seconds, replay):
    now = 0.0
    pace = Pace(lambda: now)
    assert not pace.was_ahead()
    assert not any(pace.is_ahead(header(stamp)) for stamp in range(0, 201, 2))  # 0.5 s of a scanner
    now = seconds
    assert pace.was_ahead() is replay
