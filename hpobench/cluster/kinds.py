"""What a cluster is given as: a dashboard's address, or a file for Ray, Kubernetes or Slurm."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hpobench.cluster.programs import RAY, free_port, run, tunnel
from hpobench.errors import ClusterError

DASHBOARD_PORT = 8265
ADDRESS = re.compile(r"https?://\S+|[\w.-]+:\d+")
EXPECTED = (
    "give the address of a Ray dashboard (http://127.0.0.1:8265), a Ray cluster file"
    " (cluster_name, provider), a manifest of a RayCluster or a RayJob, or an sbatch script"
)
NEEDED = {
    "aws": ("boto3", "boto3"),
    "gcp": ("googleapiclient", "google-api-python-client"),
}
"""Provider of a Ray cluster file → the module that Ray needs for it here, and its package."""


@dataclass(frozen=True)
class Dashboard:
    """A Ray that is there already, by its dashboard's address."""

    address: str

    def up(self) -> None:
        raise ClusterError(f"{self.address} is there already; `up` takes a file")

    def down(self) -> None:
        raise ClusterError(
            f"{self.address}: whoever started this cluster stops it; `down` takes a file"
        )

    def reach(self) -> AbstractContextManager[str]:
        return nullcontext(self.address)

    def nodes(self) -> None:
        """Nothing beyond what the dashboard says."""


@dataclass(frozen=True)
class RayFile:
    """A cluster that Ray's own launcher starts, over SSH: clouds, or a list of hosts."""

    file: Path

    def up(self) -> None:
        run(*RAY, "up", "--yes", self.file)

    def down(self) -> None:
        run(*RAY, "down", "--yes", self.file)

    @contextmanager
    def reach(self) -> Iterator[str]:
        port = free_port()
        with tunnel(*RAY, "dashboard", "--port", str(port), self.file, port=port) as address:
            yield address

    def nodes(self) -> None:
        """Nothing beyond what the dashboard says."""


@dataclass(frozen=True)
class RayCluster:
    """A RayCluster on Kubernetes, which KubeRay's operator keeps."""

    file: Path
    name: str
    namespace: tuple[str, ...]

    def up(self) -> None:
        run("kubectl", "apply", "--filename", self.file)

    def down(self) -> None:
        run("kubectl", "delete", "--filename", self.file)

    @contextmanager
    def reach(self) -> Iterator[str]:
        port = free_port()
        forward = (f"service/{self.name}-head-svc", f"{port}:{DASHBOARD_PORT}")
        with tunnel("kubectl", *self.namespace, "port-forward", *forward, port=port) as address:
            yield address

    def nodes(self) -> None:
        pods = ("pods", "--selector", f"ray.io/cluster={self.name}")
        run("kubectl", *self.namespace, "get", *pods)


@dataclass(frozen=True)
class RayJob:
    """A RayJob on Kubernetes: the cluster comes and goes with the one study that it names."""

    file: Path
    name: str
    namespace: tuple[str, ...]

    def up(self) -> None:
        run("kubectl", "apply", "--filename", self.file)

    def down(self) -> None:
        run("kubectl", "delete", "--filename", self.file)

    def status(self) -> None:
        run("kubectl", *self.namespace, "get", "rayjob", self.name)

    def logs(self) -> None:
        run("kubectl", *self.namespace, "logs", "--follow", f"job/{self.name}")


@dataclass(frozen=True)
class Slurm:
    """An sbatch script: Slurm gives nodes to each study by itself."""

    file: Path
    name: str
    output: str

    def up(self) -> None:
        raise ClusterError(f"{self.file}: Slurm gives nodes to each job; use `submit`")

    def down(self) -> None:
        run("scancel", "--me", f"--name={self.name}")

    def submit(self, study: Sequence[str], wait: bool) -> None:
        print(f"log: {self.output} (%j: the job's number)", flush=True)
        run("sbatch", *(["--wait"] if wait else []), self.file, *study)

    def status(self) -> None:
        run("squeue", "--me", f"--name={self.name}")

    def log(self, job: str) -> Path:
        return Path(self.output.replace("%j", job).replace("%x", self.name))


Kind = Dashboard | RayFile | RayCluster | RayJob | Slurm


def find_cluster(given: str) -> Kind:
    """What an address, or the content of a file, stands for. ClusterError if it is nothing."""
    path = Path(given)
    if not path.exists() and ADDRESS.fullmatch(given):
        return Dashboard(given.rstrip("/") if "://" in given else f"http://{given}")
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise ClusterError(f"{given}: there is no such file; {EXPECTED}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"{given} cannot be read: {error}; {EXPECTED}") from None
    if re.search(r"^#SBATCH\b", text, re.MULTILINE):
        return _slurm(path, text)
    return _described(path, _documents(path, text))


def read_cluster_file(path: Path) -> dict[str, Any]:
    """A Ray cluster file, checked by Ray's own rules. ClusterError, in one line, if it is wrong."""
    (config,) = _documents(path, path.read_text())
    _refuse_blanks(path, config)
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        prepared = prepare_config(config)
        validate_config(prepared)
    except jsonschema.ValidationError as error:
        where = ".".join(map(str, error.absolute_path))
        raise ClusterError(f"{path}{f', {where}' if where else ''}: {error.message}") from None
    except (Exception, SystemExit) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ClusterError(f"{path}: Ray refuses it: {what}") from None
    return dict(prepared)


def _slurm(path: Path, text: str) -> Slurm:
    def given(option: str, otherwise: str) -> str:
        found = re.search(rf"^#SBATCH\s+--{option}[= ](\S+)", text, re.MULTILINE)
        return found[1] if found else otherwise

    return Slurm(path, given("job-name", path.name), given("output", "slurm-%j.out"))


def _described(path: Path, documents: list[Any]) -> Kind:
    for content in documents:
        if not isinstance(content, dict):
            continue
        if content.get("kind") in ("RayCluster", "RayJob"):
            _refuse_blanks(path, content)
            about = content.get("metadata") or {}
            if not about.get("name"):
                raise ClusterError(f"{path}: metadata.name is missing")
            space = ("--namespace", about["namespace"]) if "namespace" in about else ()
            kind = RayCluster if content["kind"] == "RayCluster" else RayJob
            return kind(path, about["name"], space)
        if "cluster_name" in content and "provider" in content:
            return _ray_file(path)
    raise ClusterError(f"{path} describes no cluster; {EXPECTED}")


def _ray_file(path: Path) -> RayFile:
    provider = read_cluster_file(path)["provider"]["type"]
    module, package = NEEDED.get(provider, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise ClusterError(f"{path}: Ray needs {package} for {provider}: pip install {package}")
    return RayFile(path)


def _documents(path: Path, text: str) -> list[Any]:
    try:
        return list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ClusterError(f"{path}{line}: {error.problem or 'not YAML'}; {EXPECTED}") from None
    except yaml.YAMLError as error:
        what = str(error).splitlines()[0]
        raise ClusterError(f"{path}: not YAML: {what}; {EXPECTED}") from None


def _refuse_blanks(path: Path, content: Any, where: str = "") -> None:
    """What a file leaves for its user to fill in has no value yet."""
    if content is None:
        raise ClusterError(f"{path}: {where} is empty; fill it in")
    parts = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for name, part in parts:
        _refuse_blanks(path, part, f"{where}.{name}" if where else str(name))
