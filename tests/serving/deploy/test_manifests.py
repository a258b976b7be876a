import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from serving.settings import DataPlanes, check, read_settings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "serving" / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
CRDS = {path.stem: json.loads(path.read_text("utf-8")) for path in (Path(__file__).parent / "crds").glob("*.json")}
KUBERNETES = ("1.31", "1.37")
WHOLE = ("envoy", "haproxy", "keda", "hpa")


def resources(folder: Path) -> Iterator[dict[str, Any]]:
    """What a kustomization names, files and folders, as they are written."""
    (kustomization,) = yaml.safe_load_all((folder / "kustomization.yaml").read_text("utf-8"))
    for generator in kustomization.get("configMapGenerator", ()):
        for name in generator["files"]:
            assert (folder / name).is_file(), name
    for name in kustomization["resources"]:
        found = folder / name
        if found.is_dir():
            yield from resources(found)
        else:
            yield from yaml.safe_load_all(found.read_text("utf-8"))


def require_valid(document: dict[str, Any]) -> None:
    """Check a resource against the schema of its API, strictly. Raises ValidationError of either library."""
    schema = CRDS.get(document["kind"].lower())
    if schema is not None:
        jsonschema.validate(document, schema)
        return
    for version in KUBERNETES:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("folder", WHOLE)
def test_every_resource_fits_the_schema_of_its_api(folder: str) -> None:
    kinds = [document["kind"] for document in resources(MANIFESTS / folder) if require_valid(document) is None]
    assert kinds


@pytest.mark.parametrize("folder", WHOLE)
def test_what_kustomize_makes_of_them_fits_too(folder: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on this machine")
    made = subprocess.run([kubectl, "kustomize", str(MANIFESTS / folder)], capture_output=True, text=True, check=True)
    documents = list(yaml.safe_load_all(made.stdout))
    for document in documents:
        require_valid(document)
    assert len(documents) >= len(list(resources(MANIFESTS / folder)))


@pytest.mark.parametrize("kind", ["ScaledObject", "ServiceMonitor", "Deployment"])
def test_a_slip_of_the_pen_is_found(kind: str) -> None:
    every = [document for folder in WHOLE for document in resources(MANIFESTS / folder)]
    document = next(document for document in every if document["kind"] == kind)
    document["spec"]["replica"] = 1
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        require_valid(document)


@pytest.mark.parametrize("folder", ["envoy", "haproxy"])
def test_containers_are_locked_down_and_watched(folder: str) -> None:
    (pod,) = (d["spec"]["template"]["spec"] for d in resources(MANIFESTS / folder) if d["kind"] == "Deployment")
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["initContainers"], *pod["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
    assert {probe for container in pod["containers"] for probe in container if probe.endswith("Probe")} == {
        "livenessProbe",
        "readinessProbe",
    }


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*/shaper.toml")), ids=lambda path: path.parent.name)
def test_the_settings_of_the_pods_are_sound(path: Path) -> None:
    planes = tomllib.loads(path.read_text("utf-8"))["dataplane"]
    if set(planes) - {field.name for field in fields(DataPlanes)}:
        pytest.skip("a data plane that is not part of this installation")
    check(read_settings(path), str(path))


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = (DEPLOY / "systemd" / "shaper.service").read_text("utf-8")
    copied = tmp_path / "shaper.service"
    copied.write_text(unit.replace("/opt/shaper/bin/shaper", "/bin/true"), "utf-8")
    shown = subprocess.run([program, "verify", str(copied)], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")


def test_the_container_is_built_in_two_stages_runs_as_nobody_and_installs_what_exists() -> None:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (named,) = re.findall(r"^ARG EXTRAS=(\S+)", text, re.MULTILINE)
    assert set(named.split(",")) <= set(extras)
    assert not any(
        package.startswith(("torch", "lightning", "mlflow")) for e in named.split(",") for package in extras[e]
    )
    assert text.count("\nFROM ") == 2
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["10001:10001"]
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
