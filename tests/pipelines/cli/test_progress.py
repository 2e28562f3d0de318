import io
import logging

from rich.console import Console

from spokestream.pipelines.cli.progress import counting_progress, warnings_on


def shown(terminal, hidden=False):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    with counting_progress(console, "slices", hidden=hidden) as show:
        show(3, 8, "epoch 2")
    return file.getvalue()


def test_a_terminal_shows_what_is_counted_and_other_files_nothing():
    text = shown(terminal=True)
    for expected in ("epoch 2", "3/8", "slices"):
        assert expected in text
    assert shown(terminal=False) == ""
    assert "3/8" not in shown(terminal=True, hidden=True)


def test_warnings_of_a_reconstruction_are_shown_while_it_lasts():
    file = io.StringIO()
    log = logging.getLogger("spokestream")
    with warnings_on(Console(file=file, width=100)):
        log.warning("A spoke is missing.")
    log.warning("Nobody hears this.")
    assert "A spoke is missing." in file.getvalue()
    assert "Nobody" not in file.getvalue()
