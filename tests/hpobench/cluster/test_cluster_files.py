"""The ready files: valid by Ray's and KubeRay's rules, on loopback, of one version."""

from __future__ import annotations

import copy
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpobench.cluster.kinds import RayCluster, RayJob, find_cluster, read_cluster_file
from hpobench.errors import ClusterError

ROOT = Path(__file__).parents[3]
CLUSTER = ROOT / "cluster"
LAUNCHED = ("aws.yaml", "gcp.yaml", "on-premise.yaml")
MANIFESTS = ("kubernetes.yaml", "kubernetes-job.yaml")
BLANKS: dict[str, dict[str, Any]] = {
    "aws.yaml": {},
    "gcp.yaml": {"provider.project_id": "my-project"},
    "on-premise.yaml": {"provider.head_ip": "head", "auth.ssh_user": "me"},
    "kubernetes.yaml": {
        "spec.headGroupSpec.template.spec.containers.0.image": "registry/hpobench:1",
        "spec.workerGroupSpecs.0.template.spec.containers.0.image": "registry/hpobench:1",
    },
    "kubernetes-job.yaml": {
        "spec.rayClusterSpec.headGroupSpec.template.spec.containers.0.image": "registry/h:1",
        "spec.rayClusterSpec.workerGroupSpecs.0.template.spec.containers.0.image": "registry/h:1",
    },
}
"""What each file leaves to its user."""


def content(name: str) -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / name).read_text())


def put(config: Any, where: str, value: Any) -> None:
    *parents, last = where.split(".")
    for name in parents:
        config = config[int(name) if isinstance(config, list) else name]
    assert last in config
    config[last] = value


def filled(name: str, folder: Path, **more: Any) -> Path:
    config = copy.deepcopy(content(name))
    for where, value in BLANKS[name].items():
        put(config, where, value)
    file = folder / name
    file.write_text(yaml.safe_dump({**config, **more}))
    return file


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_takes_the_cluster_file(name: str, tmp_path: Path) -> None:
    prepared = read_cluster_file(filled(name, tmp_path))
    assert prepared["cluster_name"] == "hpobench"
    assert prepared["available_node_types"]


def test_on_premise_uses_every_host(tmp_path: Path) -> None:
    config = content("on-premise.yaml")["provider"] | {"head_ip": "a", "worker_ips": ["b", "c"]}
    prepared = read_cluster_file(filled("on-premise.yaml", tmp_path, provider=config))
    (kind,) = prepared["available_node_types"].values()
    assert (kind["min_workers"], kind["max_workers"]) == (2, 2)


@pytest.mark.parametrize("name", [*LAUNCHED, *MANIFESTS])
def test_what_is_left_to_the_user_is_asked_for_one_by_one(name: str, tmp_path: Path) -> None:
    config, blanks = content(name), list(BLANKS[name].items())
    file = tmp_path / name
    for where, value in blanks:
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        with pytest.raises(ClusterError, match=f"{re.escape(where)} is empty; fill it in"):
            find_cluster(str(file))
        put(config, where, value)
    assert "None" not in repr(config)


@pytest.mark.parametrize("name", LAUNCHED)
def test_an_unknown_key_is_caught(name: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"worker_number"):
        read_cluster_file(filled(name, tmp_path, worker_number=3))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_workers": "four"}, "max_workers: 'four' is not of type 'integer'"),
        ({"head_node_type": "heads"}, "`head_node_type` must be one of"),
        ({"provider": {"type": "moon"}}, "moon"),
    ],
)
def test_a_wrong_value_is_one_line(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterError) as caught:
        read_cluster_file(filled("aws.yaml", tmp_path, **wrong))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def shell(name: str) -> str:
    """A file's commands, each on a line, without comments."""
    if name.endswith(".yaml") and name in LAUNCHED:
        config = content(name)
        return "\n".join(config["head_start_ray_commands"] + config["worker_start_ray_commands"])
    text = (CLUSTER / name).read_text().replace("\\\n", " ")
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


@pytest.mark.parametrize("name", [*LAUNCHED, "slurm.sbatch"])
def test_the_dashboard_is_on_loopback(name: str) -> None:
    heads = [line for line in shell(name).splitlines() if "ray start --head" in line]
    assert len(heads) == 1
    assert re.findall(r"--dashboard-host=(\S+)", shell(name)) == ["127.0.0.1"]


def test_the_dashboard_on_kubernetes_is_on_loopback_or_asks_for_a_token() -> None:
    """KubeRay's own default is every interface; it needs that for a RayJob, which it watches."""
    cluster = content("kubernetes.yaml")["spec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"
    job = content("kubernetes-job.yaml")["spec"]["rayClusterSpec"]
    assert job["authOptions"] == {"mode": "token"}


def test_one_version_of_ray_everywhere() -> None:
    named = {
        file.name: set(re.findall(r"ray:(\d+\.\d+\.\d+)|rayVersion: \"(.+)\"", file.read_text()))
        for file in CLUSTER.iterdir()
    }
    found = {number for pairs in named.values() for pair in pairs for number in pair if number}
    pinned, lowest = (
        re.search(r"^ray==(.+)$", (ROOT / file).read_text(), re.MULTILINE)[1]
        for file in ("constraints.txt", "constraints-lowest.txt")
    )
    assert found == {pinned}
    assert version("ray") in {pinned, lowest}  # as `make test` and `make test-lowest` have it


@pytest.mark.parametrize("name", LAUNCHED)
def test_no_cell_runs_beside_the_runner(name: str) -> None:
    config = content(name)
    kinds = config.get("available_node_types")
    if kinds:
        assert kinds[config["head_node_type"]]["resources"]["CPU"] == 0
    else:
        assert "--num-cpus=0 --num-gpus=0" in " ".join(config["head_start_ray_commands"])


CONTAINER = {"name", "image", "env", "resources", "volumeMounts"}
POD = {"containers", "volumes", "securityContext"}
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
SPEC = {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_have_the_shape_that_kuberay_asks_for(name: str, tmp_path: Path) -> None:
    found = find_cluster(str(filled(name, tmp_path)))
    assert isinstance(found, RayCluster if name == "kubernetes.yaml" else RayJob)
    manifest = content(name)
    assert manifest["apiVersion"] == "ray.io/v1"
    spec = manifest["spec"]
    if manifest["kind"] == "RayJob":
        assert spec.keys() == {"entrypoint", "shutdownAfterJobFinishes", "rayClusterSpec"}
        assert " --address auto " in spec["entrypoint"]
        spec = spec["rayClusterSpec"]
    assert spec.keys() <= SPEC
    head, (workers,) = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert head.keys() == {"rayStartParams", "template"}
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert workers.keys() == GROUP
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (head, workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        assert pod.keys() <= POD
        (container,) = pod["containers"]
        assert container.keys() <= CONTAINER
        assert container["resources"]["requests"] == container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_taking_a_cluster_down_leaves_the_runs() -> None:
    (volume,) = yaml.safe_load_all((CLUSTER / "kubernetes-volume.yaml").read_text())
    assert volume["kind"] == "PersistentVolumeClaim"
    for name in MANIFESTS:
        text = (CLUSTER / name).read_text()
        assert f"claimName: {volume['metadata']['name']}" in text
        assert len(list(yaml.safe_load_all(text))) == 1  # and the claim is not deleted with it
