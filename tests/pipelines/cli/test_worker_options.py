import argparse

import pytest

from spokestream.pipelines.cli.main import main
from spokestream.pipelines.cli.worker_options import (
    add_threads_option,
    add_worker_options,
    given_scheduler,
    given_threads,
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", (None, 2)),
        ("--threads 3", (None, 3)),
        ("--scheduler local", ("local", 1)),
        ("--workers 2", ("local", 1)),
        ("--scheduler tcp://host:8786 --threads 4", ("tcp://host:8786", 4)),
    ],
)
def test_workers_have_one_thread_each_if_nothing_else_is_wanted(words, expected):
    parser = argparse.ArgumentParser()
    add_threads_option(parser)
    add_worker_options(parser)
    given = parser.parse_args(words.split())
    assert (given_scheduler(given), given_threads(given)) == expected


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["evaluate", "nowhere", "--workers", "0"], "Evaluation takes one worker or more, not 0."),
        (["study", "cohen2018", "--workers", "-1"], "A study takes one worker or more, not -1."),
        (["evaluate", "nowhere", "--threads", "0"], "Evaluation takes one thread or more, not 0."),
    ],
)
def test_too_few_are_refused_in_one_sentence(command, sentence, capsys):
    assert main(command) == 1
    assert capsys.readouterr().err == f"error: {sentence}\n"
