"""The version says which commit of a checkout runs."""

import shutil
import subprocess

import pytest

from spokestream.pipelines.cli.git_state import git_state


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")
def test_the_commit_of_a_checkout_and_whether_it_was_changed(tmp_path):
    def git(*arguments):
        who = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    assert git_state(tmp_path) == ""
    git("init", "-q")
    assert git_state(tmp_path) == ""  # there is no commit yet
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-qm", "first")
    git("tag", "-a", "v9", "-m", "a tag is no commit")
    commit = git("rev-parse", "--short", "HEAD").strip()
    assert git_state(tmp_path) == commit
    (tmp_path / "file").write_text("b")
    assert git_state(tmp_path) == f"{commit}, modified"


def test_without_git_the_state_is_unknown(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == ""
