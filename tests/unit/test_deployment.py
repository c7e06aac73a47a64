"""What `longshore deployment` writes is what its tools, and Longshore's own commands, understand."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import click
import compose_spec
import pytest
from click.testing import CliRunner, Result
from kubernetes_validate import (  # type: ignore[import-untyped]
    latest_version,
    validate,
)
from ruamel.yaml import YAML

from longshore.cli.main import main
from longshore.cli.parameters import Span
from longshore.gateway.health import health_routes

FOLDER: Final = Path(__file__).parents[2] / "src/longshore/deployment"
MANIFESTS: Final = sorted((FOLDER / "kubernetes").glob("*.yaml"))


class Started(NamedTuple):
    """A command that a container is started with, or asked by."""

    where: str
    words: list[str]
    environment: set[str]


def load(file: Path) -> list[Any]:
    yaml: Any = YAML(typ="safe")
    return list(yaml.load_all(file.read_text()))


def compose() -> dict[str, Any]:
    return cast("dict[str, Any]", load(FOLDER / "compose.yaml")[0])


def objects() -> list[dict[str, Any]]:
    return [one for file in MANIFESTS for one in load(file)]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in objects() if one["kind"] == kind]


def pods() -> list[Any]:
    return [
        pytest.param(one["spec"]["template"]["spec"], id=one["metadata"]["name"])
        for one in of_kind("Deployment")
    ]


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def started() -> Iterator[Started]:
    for name, service in compose()["services"].items():
        if service["image"] == "longshore" and "entrypoint" not in service:
            environment = set(service.get("environment", ()))
            yield Started(name, service["command"], environment)
            if "healthcheck" in service:
                yield Started(name, service["healthcheck"]["test"][2:], environment)
    for deployment in of_kind("Deployment"):
        for one in containers(deployment["spec"]["template"]["spec"]):
            environment = {variable["name"] for variable in one.get("env", ())}
            yield Started(one["name"], one["args"], environment)
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if command := one.get(probe, {}).get("exec"):
                    yield Started(one["name"], command["command"][1:], environment)


def cases() -> list[Any]:
    return [pytest.param(one, id=f"{one.where}: {one.words[0]}") for one in started()]


def deployment(folder: Path) -> Result:
    return CliRunner().invoke(main, ["deployment", str(folder)])


def test_everything_is_written_to_a_folder(tmp_path: Path) -> None:
    result = deployment(tmp_path / "deploy")
    assert result.exit_code == 0
    written = [Path(line) for line in result.output.splitlines()]
    assert {one.relative_to(tmp_path / "deploy") for one in written} == {
        Path("Containerfile"),
        Path("compose.yaml"),
        *(one.relative_to(FOLDER) for one in MANIFESTS),
    }
    for one in written:
        assert one.read_bytes() == (FOLDER / one.relative_to(tmp_path / "deploy")).read_bytes()


def test_nothing_that_is_there_is_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "compose.yaml"
    mine.write_text("mine")
    result = deployment(tmp_path)
    assert result.exit_code == 2
    assert "compose.yaml exists already" in result.output
    assert [one.name for one in tmp_path.iterdir()] == ["compose.yaml"]
    assert mine.read_text() == "mine"


def test_the_container_file_has_no_known_faults() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    checked = subprocess.run(
        [hadolint, "--no-color", FOLDER / "Containerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_compose_file_is_one_by_its_specification() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    filled = re.sub(r"\$\{\w+(?::-([^}]*)|[^}]*)\}", lambda found: found[1] or "some", text)
    made = compose_spec.PyOptions(apply_merge=True).from_yaml(filled)
    made.validate()
    made.to_spec()
    assert {"database", "migrate", "server", "gateway", "worker"} <= set(made.service_names())


@pytest.mark.parametrize(
    "file", [one for one in MANIFESTS if one.stem != "kustomization"], ids=lambda one: one.stem
)
def test_every_manifest_is_one_by_the_schemas_of_kubernetes(file: Path) -> None:
    for one in load(file):
        validate(one, latest_version(), strict=True)


def test_the_kustomization_names_all_manifests() -> None:
    [kustomization] = of_kind("Kustomization")
    assert {*kustomization["resources"], "kustomization.yaml"} == {
        one.name for one in MANIFESTS
    }


@pytest.mark.parametrize("one", cases())
def test_every_option_and_variable_there_is_one_of_the_command_line(one: Started) -> None:
    command, names = find(one.words)
    options = {opt for option in command.params for opt in option.opts}
    given = {word.partition("=")[0] for word in one.words if word.startswith("--")}
    assert given <= options
    if command.name in ("serve", "gateway", "worker", "migrate"):
        assert one.environment <= variables(command, names)


def find(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and its path."""
    context = click.Context(main)
    command: click.Command = main
    names: list[str] = []
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(context, word)
        assert found is not None, f"there is no command {word}"
        command = found
        names.append(word)
    assert not isinstance(command, click.Group)
    return command, names


def variables(command: click.Command, names: list[str]) -> set[str]:
    """Return the environment variables that a command's options are read from."""
    found: set[str] = set()
    for option in command.params:
        if isinstance(option.envvar, str):
            found.add(option.envvar)
        found.add("_".join(["LONGSHORE", *names, option.name or ""]).upper())
    return found


@pytest.mark.parametrize("pod", pods())
def test_every_container_is_confined_and_asks_for_what_it_needs(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert not pod["enableServiceLinks"]
    for one in containers(pod):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(one["resources"]["requests"])
        assert not [
            variable["name"]
            for variable in one["env"]
            if "value" in variable
            and variable["name"] in ("LONGSHORE_STORE", "LONGSHORE_TOKEN")
        ]
        mounted = {mount["name"] for mount in one["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("pod", pods())
def test_a_pod_is_given_the_time_to_drain(pod: dict[str, Any]) -> None:
    [one] = pod["containers"]
    graces = [
        Span().convert(variable["value"], None, None)
        for variable in one["env"]
        if variable["name"].endswith("_GRACE")
    ]
    # Those who listen end their work and then their calls.
    seconds = graces[0].total_seconds() * (2 if "ports" in one else 1)
    seconds += one.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert seconds < pod["terminationGracePeriodSeconds"]


def test_disruptions_take_one_pod_of_a_kind_at_a_time() -> None:
    budgets = {str(one["spec"]["selector"]): one for one in of_kind("PodDisruptionBudget")}
    for one in of_kind("Deployment"):
        assert budgets[str(one["spec"]["selector"])]["spec"]["maxUnavailable"] == 1
        assert one["spec"]["replicas"] >= 2
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert one["spec"]["selector"]["matchLabels"] == labels


def test_the_gateway_is_asked_where_it_tells_of_its_health() -> None:
    there = {route.path for route in health_routes(cast("Any", None))}
    [pod] = [pod.values[0] for pod in pods() if pod.id == "longshore-gateway"]
    [one] = cast("dict[str, Any]", pod)["containers"]
    asked = {
        one[f"{probe}Probe"]["httpGet"]["path"]
        for probe in ("startup", "readiness", "liveness")
    }
    assert asked == there


def test_services_lead_to_ports_that_are_there() -> None:
    for service in of_kind("Service"):
        [target] = [
            one["spec"]["template"]
            for one in of_kind("Deployment")
            if one["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
        ]
        names = {port["name"] for port in target["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
