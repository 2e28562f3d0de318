import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from spokestream.errors import InputError
from spokestream.pipelines.console.metrics import Metrics
from spokestream.pipelines.console.settings import ConsoleSettings
from spokestream.pipelines.settings import read_site_file
from spokestream.settings import declarations, layered

PAGE = Path(__file__).parents[3] / "docs/console.md"


def test_by_default_there_is_no_page_and_the_address_is_the_loopback():
    settings = ConsoleSettings()
    assert settings.http is None
    assert settings.http_host == "127.0.0.1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "", "node.hospital"])
def test_an_address_of_the_network_needs_a_token(host):
    with pytest.raises(InputError, match="set http_token"):
        ConsoleSettings(http_host=host)
    assert ConsoleSettings(http_host=host, http_token="x" * 16).http_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_the_loopback_needs_none(host):
    assert ConsoleSettings(http_host=host).http_token is None


def test_a_token_that_can_be_guessed_is_refused_and_not_repeated():
    with pytest.raises(InputError, match="16 characters") as refused:
        ConsoleSettings(http_token="secret-of-us")
    assert "secret-of-us" not in str(refused.value)


def test_the_table_of_settings_is_the_one_in_the_code():
    rows = re.findall(r"^\| `--([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", PAGE.read_text(), flags=re.MULTILINE)
    declared = declarations(ConsoleSettings)
    assert [row[0].replace("-", "_") for row in rows] == list(declared)
    for (_, unit, default, choices, meaning), setting in zip(rows, declared.values(), strict=True):
        assert (unit, choices, meaning) == (setting.unit, ", ".join(setting.choices), setting.meaning)
        assert (setting.read(default) if default else None) == setting.default


def test_the_site_s_file_that_the_page_shows_is_accepted(tmp_path):
    (site,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (tmp_path / "site.toml").write_text(site)
    values = read_site_file(tmp_path / "site.toml", ConsoleSettings)
    settings = layered(ConsoleSettings(), values)
    assert (settings.http, settings.http_host, settings.history) == (9003, "0.0.0.0", Path("/data/history"))


def test_the_metrics_of_the_table_are_those_of_the_code():
    shown = set(re.findall(r"`(spokestream_\w+)[`{]", PAGE.read_text()))
    families = text_string_to_metric_families(Metrics().render(0, 0, 0).decode())
    told = {family.name + "_total" * (family.type == "counter") for family in families}
    assert shown == {name for name in told if name.startswith("spokestream_") and not name.endswith("_created")}
