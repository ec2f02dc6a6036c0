"""The commands for files of each kind, with programs that only note what they are told."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from hpobench.cli import main
from hpobench.cluster import programs
from hpobench.cluster.jobs import Jobs, checked_env
from hpobench.cluster.kinds import Dashboard, RayCluster, RayFile, RayJob, Slurm, find_cluster
from hpobench.errors import ClusterError

CLUSTER_YAML = """
cluster_name: mine
provider: {type: local, head_ip: head, worker_ips: [node]}
auth: {ssh_user: me}
"""
RAY_CLUSTER = "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: mine, namespace: lab}\n"
RAY_JOB = "apiVersion: ray.io/v1\nkind: RayJob\nmetadata: {name: mine}\nspec: {entrypoint: x}\n"
SBATCH = "#!/bin/bash\n#SBATCH --job-name=mine\n#SBATCH --output=%x-%j.out\nhostname\n"
FILES = {
    "cluster.yaml": CLUSTER_YAML,
    "raycluster.yaml": RAY_CLUSTER,
    "rayjob.yaml": RAY_JOB,
    "job.sbatch": SBATCH,
}

SERVER = """#!{python}
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        self.end_headers()
    def log_message(self, *_):
        pass
port = int(sys.argv[-1].partition(":")[0])
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of each kind, where kubectl and Slurm note what they are told."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "bin").mkdir()
    for name in ("kubectl", "sbatch", "squeue", "scancel"):
        program(tmp_path, name, f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/told"\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def program(place: Path, name: str, content: str) -> None:
    (place / "bin" / name).write_text(content)
    (place / "bin" / name).chmod(0o755)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """The command line in this process: exit code, and what it and its programs print."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hpobench", "cluster", *arguments])
        handler = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as ended:
            main()
        signal.signal(signal.SIGTERM, handler)
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_a_file_is_known_by_what_it_holds(place: Path) -> None:
    assert find_cluster("cluster.yaml") == RayFile(Path("cluster.yaml"))
    space = ("--namespace", "lab")
    assert find_cluster("raycluster.yaml") == RayCluster(Path("raycluster.yaml"), "mine", space)
    assert find_cluster("rayjob.yaml") == RayJob(Path("rayjob.yaml"), "mine", ())
    assert find_cluster("job.sbatch") == Slurm(Path("job.sbatch"), "mine", "%x-%j.out")
    assert find_cluster("http://127.0.0.1:8265/") == Dashboard("http://127.0.0.1:8265")
    assert find_cluster("localhost:8265") == Dashboard("http://localhost:8265")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("up raycluster.yaml", "kubectl apply --filename raycluster.yaml"),
        ("down raycluster.yaml", "kubectl delete --filename raycluster.yaml"),
        ("up rayjob.yaml", "kubectl apply --filename rayjob.yaml"),
        ("status rayjob.yaml", "kubectl get rayjob mine"),
        ("logs rayjob.yaml", "kubectl logs --follow job/mine"),
        ("submit job.sbatch digits --budget 9", "sbatch --wait job.sbatch digits --budget 9"),
        ("submit job.sbatch digits --no-wait", "sbatch job.sbatch digits"),
        ("status job.sbatch", "squeue --me --name=mine"),
        ("down job.sbatch", "scancel --me --name=mine"),
    ],
)
def test_each_kind_has_its_own_program(arguments: str, told: str, place: Path, command) -> None:
    code, _, said = command(*arguments.split())
    assert code == 0, said
    assert (place / "told").read_text().strip().startswith(told)


def test_a_cluster_file_goes_to_rays_launcher(place: Path, monkeypatch) -> None:
    noted = place / "launcher.py"
    noted.write_text("import sys\nopen('told', 'a').write(' '.join(sys.argv[1:]) + chr(10))\n")
    monkeypatch.setattr("hpobench.cluster.kinds.RAY", (sys.executable, str(noted)))
    cluster = find_cluster("cluster.yaml")
    cluster.up()
    cluster.down()
    assert (place / "told").read_text() == "up --yes cluster.yaml\ndown --yes cluster.yaml\n"


def test_a_slurm_log_is_where_the_script_puts_it(place: Path, command) -> None:
    (place / "mine-12.out").write_text("the log\n")
    assert command("logs", "job.sbatch", "12") == (0, "the log\n", "")


@pytest.mark.parametrize("status", [200, 401])  # it may ask for a token
def test_a_tunnel_is_closed_afterwards(status: int, place: Path) -> None:
    program(place, "kubectl", SERVER.format(python=sys.executable, status=status))
    cluster = find_cluster("raycluster.yaml")
    assert isinstance(cluster, RayCluster)
    with cluster.reach() as address:
        assert programs.answers(address)
    assert not programs.answers(address)


BAD_FILES = {
    "nothing.yaml": (None, "there is no such file"),
    "damaged.yaml": ("cluster_name: x\nprovider: {type: local\n", "damaged.yaml, line 3: "),
    "other.yaml": ("name: something\n", "describes no cluster"),
    "empty.yaml": ("", "describes no cluster"),
    "letter.txt": ("Dear reader,\n", "describes no cluster"),
    "tab.yaml": ("a:\n\tb: 1\n", "tab.yaml, line 2: "),
    "picture.png": (b"\x89PNG\xff\xfe", "cannot be read"),
    "control.yaml": ("a: \x01\n", "not YAML"),
    "blank.yaml": (CLUSTER_YAML.replace("head_ip: head", "head_ip: "), "provider.head_ip is empty"),
    "extra.yaml": (CLUSTER_YAML + "workers: 3\n", "'workers' was unexpected"),
    "kind.yaml": (CLUSTER_YAML.replace("local", "moon"), "moon"),
    "nameless.yaml": ("kind: RayCluster\nspec: {}\n", "metadata.name is missing"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line(name: str, place: Path) -> None:
    content, said = BAD_FILES[name]
    if content is not None:
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ClusterError) as caught:
        find_cluster(name)
    assert said in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


MISTAKES = {
    "no file": ("up nowhere.yaml", "nowhere.yaml: there is no such file"),
    "no dashboard": ("status http://127.0.0.1:9", "no Ray dashboard answers at http://127.0.0.1:9"),
    "nothing to start": ("up http://127.0.0.1:9", "is there already"),
    "not ours to stop": ("down http://127.0.0.1:9", "whoever started this cluster stops it"),
    "slurm is not started": ("up job.sbatch", "use `submit`"),
    "a job of its own": ("submit rayjob.yaml digits", "names its study itself"),
    "shared volume": ("fetch rayjob.yaml", "there is no fetching"),
    "the script's own": ("submit job.sbatch digits --out here", "edit the script"),
    "which log": ("logs job.sbatch", "which job?"),
    "no log": ("logs job.sbatch 99", "mine-99.out: there is no such file"),
    "a program that fails": ("down raycluster.yaml", "ended with exit code 3"),
    "no study": ("submit http://127.0.0.1:9 digit", "Did you mean digits?"),
    "no option": ("submit http://127.0.0.1:9 digits --budgt 3", "--budgt"),
    "not a number": ("submit http://127.0.0.1:9 digits --budget soon", "--budget"),
    "our option": ("submit http://127.0.0.1:9 digits --address auto", "--address comes from"),
    "a secret": ("submit http://127.0.0.1:9 digits --env WANDB_API_KEY=xyz", "--env WANDB_API_KEY"),
    "no pair": ("submit http://127.0.0.1:9 digits --env DATA", "NAME=VALUE"),
    "no requirements": (
        "submit http://127.0.0.1:9 digits --pip no.txt",
        "no.txt: there is no such",
    ),
    "not empty": ("submit http://127.0.0.1:9 digits --out bin", "bin holds something else"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_two(mistake: str, place: Path, command) -> None:
    program(place, "kubectl", "#!/bin/sh\nexit 3\n")
    arguments, said = MISTAKES[mistake]
    code, _, error = command(*arguments.split())
    assert code == 2, error
    assert error.startswith("hpobench: ")
    assert said in error
    assert error.count("\n") == 1
    assert "xyz" not in error


def test_a_program_that_is_missing_is_named(place: Path, command, monkeypatch) -> None:
    for name in ("kubectl", "sbatch"):
        (place / "bin" / name).unlink()
    monkeypatch.setenv("PATH", str(place / "bin"))
    assert "kubectl is not installed here" in command("up", "raycluster.yaml")[2]
    said = command("submit", "job.sbatch", "digits")[2]
    assert (
        said == "hpobench: sbatch is not installed here: go to a login node of the Slurm cluster\n"
    )


def test_a_cloud_whose_package_is_missing_is_named(place: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    aws = Path(__file__).parents[3] / "cluster/aws.yaml"
    with pytest.raises(ClusterError, match="pip install boto3"):
        find_cluster(str(aws))


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "aws_secret_access_key", "HF_TOKEN", "PASSWORD"])
def test_what_looks_like_a_secret_is_refused(name: str) -> None:
    with pytest.raises(ClusterError) as caught:
        checked_env([f"{name}=hush"])
    assert "hush" not in str(caught.value)


def test_a_jobs_environment() -> None:
    assert checked_env(["HPOBENCH_DATA=/data", "X=a=b"]) == {"HPOBENCH_DATA": "/data", "X": "a=b"}


@pytest.mark.parametrize("clash", ["types.py", "torch.py", "random/__init__.py"])
def test_what_a_job_would_import_instead_of_a_library_is_not_sent(
    clash: str, place: Path, monkeypatch
) -> None:
    file = place / clash
    file.parent.mkdir(exist_ok=True)
    file.touch()
    monkeypatch.setattr(Jobs, "__init__", lambda self: None)
    with pytest.raises(ClusterError, match=r"is called as a module .*; rename it"):
        Jobs().submit("mine", place / "mine.py", [], {}, None)  # type: ignore[call-arg]


def test_a_whole_home_is_not_sent(place: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setattr(Jobs, "__init__", lambda self: None)
    with pytest.raises(ClusterError, match="put the study into a folder of its own"):
        Jobs().submit("mine", place / "mine.py", [], {}, None)  # type: ignore[call-arg]
