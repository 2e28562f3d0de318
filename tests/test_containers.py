"""The files for containers: what they copy exists, what they start is a command, and their ports and probes agree."""

import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

from spokestream.pipelines.chains import PIPELINES
from spokestream.pipelines.cli.main import _parser
from spokestream.pipelines.cli.options import given_options
from spokestream.pipelines.console.guard import OPEN
from spokestream.pipelines.console.settings import ConsoleSettings
from spokestream.pipelines.node.memory.budget import bytes_of
from spokestream.pipelines.node.server import GOODBYE_S
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.settings import AUTO

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text()))
TARGETS = ("node", "node-gpu", "gadgetron", "openrecon")
USER = 1000
SMALLEST_SHARE = 1.2
"""Memory of a container over `--memory`, at least; see docs/deployment.md."""


def stages():
    """The instructions of every stage of the Dockerfile, as (instruction, arguments)."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            name = arguments.split(" AS ")[1]
            found[name] = [("FROM", arguments)]
        elif found:
            found[name].append((instruction, arguments.strip()))
    return found


STAGES = stages()


def parsed(words):
    """The settings that a command line of `spokestream serve` gives."""
    assert words[0] == "spokestream"
    arguments = _parser(words[1:]).parse_args(words[1:])
    assert arguments.command == "serve"
    return given_options(arguments, ServerSettings, ConsoleSettings)


def command_of(stage):
    """The words of the last CMD of a stage, or of the stage from which it comes."""
    for instruction, arguments in reversed(STAGES[stage]):
        if instruction == "CMD":
            return yaml.safe_load(arguments)
    return command_of(STAGES[stage][0][1].split()[0])


def last(stage, instruction):
    """The arguments of the last such instruction of a stage, or of the stage from which it comes."""
    found = [arguments for name, arguments in STAGES[stage] if name == instruction]
    if found:
        return found[-1]
    origin = STAGES[stage][0][1].split()[0]
    return last(origin, instruction) if origin in STAGES else None


def test_the_targets_are_there_and_the_node_is_the_default():
    assert set(TARGETS) <= STAGES.keys()
    assert list(STAGES)[-1] == "node"
    for target in TARGETS:
        assert f"#   {target} " in DOCKERFILE


def test_what_is_copied_exists_and_is_in_the_context():
    ignored = set((ROOT / ".dockerignore").read_text().split())
    for name, instructions in STAGES.items():
        for instruction, arguments in instructions:
            if instruction != "COPY":
                continue
            *sources, _ = arguments.split()
            if sources[0].startswith("--from="):
                assert sources[0].removeprefix("--from=") in STAGES, name
                continue
            for source in sources:
                assert (ROOT / source).exists(), f"{name} copies {source}"
                assert source.split("/")[0] not in ignored


@pytest.mark.parametrize("target", ["node", "node-gpu", "openrecon"])
def test_a_container_starts_a_node_on_the_port_that_it_exposes(target):
    settings = parsed(command_of(target))
    assert (settings["host"], settings["port"]) == ("0.0.0.0", 9002)
    assert str(settings["port"]) == last(target, "EXPOSE")


def test_who_the_containers_run_as():
    assert last("node", "USER") == last("node-gpu", "USER") == "node"
    assert f"--uid {USER} node" in DOCKERFILE
    assert last("openrecon", "USER") is None  # root
    assert last("gadgetron", "USER") == "${GADGETRON_USER}"


def test_health_of_a_container_is_asked_where_the_page_answers():
    settings = parsed(command_of("node"))
    port, path = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", last("node", "HEALTHCHECK")).groups()
    assert int(port) == settings["http"]
    assert "http_host" not in settings  # the loopback, which needs no token
    assert path in OPEN


def test_a_gadgetron_gets_the_configuration_of_every_pipeline():
    (text,) = [arguments for name, arguments in STAGES["gadgetron"] if name == "RUN" and " xml " in arguments]
    assert re.search(r"for name in ([\w ]+);", text)[1].split() == [AUTO, *PIPELINES]


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_well_formed(script):
    shell = script.read_text().partition("\n")[0].rpartition("/")[2]
    assert subprocess.run([shell, "-n", script], capture_output=True, check=False).returncode == 0
    assert script.stat().st_mode & 0o111


def test_the_list_of_packages_names_versions_and_licences():
    bill = runpy.run_path(str(ROOT / "tools/sbom.py"))["bill_of_materials"]()
    components = {one["name"]: one for one in bill["components"]}
    assert bill["metadata"]["component"]["name"] == "spokestream"
    assert components["numpy"]["purl"].startswith("pkg:pypi/numpy@2")
    assert "BSD-3-Clause" in components["numpy"]["licenses"][0]["expression"]
    assert all(one["licenses"] for one in components.values())
    known = {bill["metadata"]["component"]["bom-ref"], *(one["bom-ref"] for one in components.values())}
    assert {one["ref"] for one in bill["dependencies"]} == known
    assert all(set(one["dependsOn"]) <= known for one in bill["dependencies"])
    assert bill == runpy.run_path(str(ROOT / "tools/sbom.py"))["bill_of_materials"]()
    assert "/wheels/sbom.py" in (ROOT / "deploy/install.sh").read_text()


# --- docker compose


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_of_compose_is_a_target_and_a_node(name):
    service = COMPOSE["services"][name]
    assert service["build"] == {"context": ".", "target": name}
    assert name in TARGETS
    settings = parsed(service["command"])
    assert service["ports"] == [f"{settings['port']}:{settings['port']}"]
    folders = {volume.partition(":")[2] for volume in service["volumes"]}
    assert all(str(folder).startswith(tuple(folders)) for folder in (settings["record"], settings["history"]))
    assert {volume.partition(":")[0] for volume in service["volumes"]} <= COMPOSE["volumes"].keys()
    limit = bytes_of(service["mem_limit"].replace("g", "GiB"))
    assert limit >= SMALLEST_SHARE * bytes_of(settings["memory"])
    grace = settings.get("grace_s", ServerSettings().grace_s)
    assert int(service["stop_grace_period"].removesuffix("s")) > grace + GOODBYE_S
    # the health check of the image asks the page
    assert settings["http"] == parsed(command_of(name))["http"]


# --- Kubernetes


def of_kind(kind):
    return [one for one in KUBERNETES if one["kind"] == kind]


@pytest.fixture
def pod():
    (stateful,) = of_kind("StatefulSet")
    return stateful["spec"]["template"]["spec"]


@pytest.fixture
def node(pod):
    (container,) = pod["containers"]
    return container


def test_services_reach_the_ports_of_the_node(node):
    settings = parsed(node["command"])
    ports = {port["name"]: port["containerPort"] for port in node["ports"]}
    assert ports == {"mrd": settings["port"], "http": settings["http"]}
    (stateful,) = of_kind("StatefulSet")
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    for service in of_kind("Service"):
        assert service["spec"]["selector"] == labels == stateful["spec"]["selector"]["matchLabels"]
        assert all(port["targetPort"] in ports for port in service["spec"]["ports"])
        assert service["spec"]["ports"][0].get("protocol", "TCP") == "TCP"
    assert stateful["spec"]["serviceName"] in [service["metadata"]["name"] for service in of_kind("Service")]
    balancer = next(service for service in of_kind("Service") if service["spec"].get("type") == "LoadBalancer")
    assert [port["port"] for port in balancer["spec"]["ports"]] == [settings["port"]]  # not the page


def test_probes_ask_addresses_that_the_node_has(node):
    paths = {probe: node[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    assert set(paths.values()) == set(OPEN)  # which need no token
    assert all(node[probe]["httpGet"]["port"] == "http" for probe in paths)
    assert parsed(node["command"])["http_host"] == "0.0.0.0"  # the kubelet is not on the loopback


def test_a_replica_has_one_gpu_and_more_memory_than_its_scans(node):
    limits = node["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1
    memory = bytes_of(limits["memory"].replace("Gi", "GiB"))
    assert memory >= SMALLEST_SHARE * bytes_of(parsed(node["command"])["memory"])


def test_a_replica_stops_when_its_scans_have_had_their_time(pod, node):
    pause = int(node["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + parsed(node["command"])["grace_s"] + GOODBYE_S


def test_folders_are_mounted_and_belong_to_the_user(pod, node):
    (stateful,) = of_kind("StatefulSet")
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in stateful["spec"]["volumeClaimTemplates"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in node["volumeMounts"]}
    assert set(mounts.values()) == volumes
    settings = parsed(node["command"])
    assert "/data" in mounts
    assert all(folder.is_relative_to("/data") for folder in (settings["record"], settings["history"]))
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == USER
    (config,) = [word for word in node["command"] if word.startswith("--config=")]
    assert mounts[str(Path(config.partition("=")[2]).parent)] == "site"
    (secret,) = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    assert f"kubectl create secret generic {secret} --from-file=" in (ROOT / "deploy/kubernetes.yaml").read_text()
