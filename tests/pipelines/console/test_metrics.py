import pytest
from map_image_examples import example_images
from prometheus_client.parser import text_string_to_metric_families

from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.pipelines.console.metrics import Metrics


def values(metrics, queue_bytes=0, recordings=0, recorded_bytes=0):
    text = metrics.render(queue_bytes, recordings, recorded_bytes).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def flagged_images(n_slices, flagged, foreground):
    """Example images whose slices have these counts, as the physics check writes them."""
    images = example_images(n_slices)
    for image in images:
        meta = image.meta
        meta["spokestream_count_flagged"] = str(flagged)
        meta["spokestream_count_foreground"] = str(foreground)
        image.meta = meta
    return images


def test_before_the_first_scan_all_counts_are_zero():
    found = values(Metrics())
    assert all(found["spokestream_scans_total", outcome] == 0 for outcome in ("finished", "failed", "refused"))
    assert found["spokestream_readouts_total",] == found["spokestream_running_scans",] == 0


def test_a_scan_is_counted_with_its_readouts_images_and_wait(tools):
    metrics = Metrics()
    *before, ended = tools.events(warnings=("Careful.",), latency_s=1.5)
    for event in before:
        metrics.tell(event)
    during = values(metrics)
    assert (during["spokestream_running_scans",], during["spokestream_readouts_total",]) == (1, 10)
    metrics.tell(ended)
    after = values(metrics)
    assert after["spokestream_scans_total", "finished"] == 1
    assert (after["spokestream_running_scans",], after["spokestream_readouts_total",]) == (0, 30)
    assert (after["spokestream_images_total",], after["spokestream_warnings_total",]) == (6, 1)
    assert after["spokestream_last_spoke_to_last_map_seconds_sum",] == 1.5
    assert after["spokestream_last_spoke_to_last_map_seconds_bucket", "1.0"] == 0
    assert after["spokestream_last_spoke_to_last_map_seconds_bucket", "2.0"] == 1


@pytest.mark.parametrize("outcome", ["failed", "refused", "stopped"])
def test_other_outcomes_are_counted_apart_and_have_no_wait(outcome, tools):
    metrics = Metrics()
    for event in tools.events(outcome=outcome):
        metrics.tell(event)
    found = values(metrics)
    assert found["spokestream_scans_total", outcome] == 1
    assert found["spokestream_scans_total", "finished"] == 0
    assert found["spokestream_last_spoke_to_last_map_seconds_count",] == 0


def test_a_refused_scan_was_never_running(tools):
    metrics = Metrics()
    *_, ended = tools.events(images=[], outcome="refused")
    metrics.tell(ended)
    assert values(metrics)["spokestream_running_scans",] == 0


def test_flagged_voxels_of_a_slice_are_counted_once_and_not_for_each_map(tools):
    metrics = Metrics()
    for session in ("ab", "cd"):
        for event in tools.events(session, flagged_images(2, flagged=7, foreground=50)):
            metrics.tell(event)
    found = values(metrics)
    assert found["spokestream_flagged_voxels_total",] == 2 * 2 * 7
    assert found["spokestream_foreground_voxels_total",] == 2 * 2 * 50


def test_the_counts_are_read_under_the_names_that_the_ledger_writes():
    ledger = IntegrityLedger()
    ledger.record(0, "flagged", 7)
    ledger.record(0, "foreground", 50)
    assert ledger.counts(0) == {"flagged": 7, "foreground": 50}


def test_what_is_measured_at_the_moment_is_passed_on():
    found = values(Metrics(), queue_bytes=5, recordings=3, recorded_bytes=700)
    assert found["spokestream_queue_bytes",] == 5
    assert (found["spokestream_recordings",], found["spokestream_recordings_bytes",]) == (3, 700)
    assert found["process_resident_memory_bytes",] > 1e6
