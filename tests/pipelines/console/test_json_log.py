import json
import logging

import pytest
from map_image_examples import example_images

from spokestream.pipelines import wire
from spokestream.pipelines.console.json_log import JsonLines, log_event
from spokestream.pipelines.node.events import ImageSent, ReadoutsReceived, ScanAdmitted, ScanEnded, ScanWarned


@pytest.fixture
def lines():
    """The lines that are written to the log, parsed."""
    written = []

    class Keeper(logging.Handler):
        def emit(self, record):
            written.append(self.format(record))

    keeper, logger = Keeper(), logging.getLogger("spokestream")
    keeper.setFormatter(JsonLines())
    logger.addHandler(keeper)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield lambda raw=False: written if raw else [json.loads(line) for line in written]
    logger.setLevel(before)
    logger.removeHandler(keeper)


def test_every_event_but_readouts_is_one_line_with_its_session(lines):
    (image, *_) = example_images()
    for event in (
        ScanAdmitted("ab", "auto", "<header/>"),
        ReadoutsReceived("ab", 5),
        ScanWarned("ab", 'A "warning"\nof two lines.'),
        ImageSent("ab", image),
        ScanEnded("ab", "auto", "finished", "", 30, 1, 12.0, 1.5),
    ):
        log_event(event)
    told = lines()
    assert [line["event"] for line in told] == ["scan_admitted", "scan_warned", "image_sent", "scan_ended"]
    assert {line["session"] for line in told} == {"ab"}
    assert told[1]["sentence"] == 'A "warning"\nof two lines.'
    assert (told[2]["series"], told[2]["slice"]) == (101, 0)
    assert {name: told[3][name] for name in ("outcome", "readouts", "images", "seconds", "latency_s")} == {
        "outcome": "finished", "readouts": 30, "images": 1, "seconds": 12.0, "latency_s": 1.5,
    }  # fmt: skip
    assert all("header_xml" not in line for line in told)


def test_lines_of_a_session_have_its_id_and_others_have_none(lines, serve, connect, readout):
    with serve() as running:
        connect(running.port).opening().say(wire.Data(readout(7)), wire.Close()).hear()
    told = lines()
    (warning,) = [line for line in told if line["message"] == "This is a 7."]
    (began,) = [line for line in told if line["message"].startswith("Session ")][:1]
    assert warning["level"] == "WARNING"
    assert warning["session"] == began["session"] == began["message"].split()[1]
    assert "session" not in next(line for line in told if line["message"].startswith("Listening"))


def test_a_defect_is_one_line_with_its_traceback(lines):
    try:
        raise KeyError("beast")
    except KeyError:
        logging.getLogger("spokestream.server").exception("A defect.")
    (line,) = lines()
    assert line["message"] == "A defect."
    assert "KeyError: 'beast'" in line["traceback"]


def test_lines_show_nothing_but_ascii(lines):
    log_event(ScanWarned("ab", "\u202e\x9b31m\x85\u2028é"))
    (line,) = lines()
    assert line["sentence"] == "\u202e\x9b31m\x85\u2028é"
    assert lines(raw=True)[0].isascii()
