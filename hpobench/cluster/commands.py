"""The command line's ``hpobench cluster up | submit | status | logs | fetch | down``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hpobench.cluster import packing
from hpobench.cluster.jobs import Jobs, checked_env
from hpobench.cluster.kinds import Kind, RayJob, Slurm, find_cluster
from hpobench.errors import ClusterError

app = typer.Typer(
    no_args_is_help=True,
    help="Start clusters, run studies on them, fetch the results.",
    rich_markup_mode="markdown",
)

File = Annotated[
    str,
    typer.Argument(
        help="A Ray cluster file, a Kubernetes manifest, an sbatch script; or the address of a"
        " dashboard, http://127.0.0.1:8265.",
        show_default=False,
    ),
]
JobName = Annotated[str | None, typer.Argument(help="The job; the latest one if left out.")]
Out = Annotated[Path | None, typer.Option(help="Where the run's folder goes; else runs/JOB.")]
Wandb = Annotated[
    str,
    typer.Option(help="Weights & Biases: offline, online (uploaded from here) or off."),
]
OURS = ("--address", "--out", "--wandb")


@app.command(epilog="Example: `hpobench cluster up cluster/aws.yaml`")
def up(file: File) -> None:
    """Start a cluster: `ray up`, or `kubectl apply`."""
    find_cluster(file).up()


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="""Examples:

`hpobench cluster submit cluster/aws.yaml my_study.py --slot gpu=1,cpu=8`

`hpobench cluster submit http://127.0.0.1:8265 digits --budget 60 --out runs/digits`""",
)
def submit(
    context: typer.Context,
    file: File,
    study: Annotated[str, typer.Argument(help="As for `hpobench run`, and so are its options.")],
    out: Out = None,
    wandb: Wandb = "offline",
    env: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the job; no secrets. Repeatable.")
    ] = None,
    pip: Annotated[
        Path | None, typer.Option(help="Requirements to install on the nodes for this job.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job and fetch its results.")] = True,
) -> None:
    """Run a study on a cluster, follow its log, and fetch its results."""
    given = _checked(context, study)
    variables = checked_env(env or [])
    cluster = find_cluster(file)
    if isinstance(cluster, RayJob):
        raise ClusterError(f"{file}: a RayJob names its study itself; use `up`")
    if isinstance(cluster, Slurm):
        if out or env or pip:
            raise ClusterError(f"{file}: --out, --env and --pip are for Ray jobs; edit the script")
        cluster.submit([study, *given, "--wandb", wandb], wait)
        return
    if out is not None:
        packing.check_place(out)
    from hpobench.discovery import find_study

    found, source = find_study(study)
    if pip is not None and not pip.is_file():
        raise ClusterError(f"--pip {pip}: there is no such file")
    with _jobs(cluster) as jobs:
        there = [*given, "--wandb", "off" if wandb == "off" else "offline"]
        if source is not None:  # which may take its time, if it is a large folder
            print(f"sending {source.parent}", flush=True)
        job = jobs.submit(found.name, source or study, there, variables, pip)
        print(f"job: {job}", flush=True)
        if wait:
            _see_through(jobs, file, job, out or Path("runs") / job, wandb)


@app.command(epilog="Example: `hpobench cluster status cluster/aws.yaml`")
def status(file: File) -> None:
    """Show a cluster's nodes and its jobs."""
    cluster = find_cluster(file)
    if isinstance(cluster, (RayJob, Slurm)):
        cluster.status()
        return
    cluster.nodes()
    with _jobs(cluster) as jobs:
        console = Console()
        for title, rows in (("nodes", jobs.nodes()), ("jobs", jobs.table())):
            table = Table(*(rows[0] if rows else ["none"]), title=title, title_justify="left")
            for row in rows:
                table.add_row(*row.values())
            console.print(table)


@app.command(epilog="Example: `hpobench cluster logs cluster/aws.yaml`")
def logs(file: File, job: JobName = None) -> None:
    """Show a job's log, until the job ends; Ctrl-C leaves the job alone."""
    cluster = find_cluster(file)
    if isinstance(cluster, RayJob):
        cluster.logs()
    elif isinstance(cluster, Slurm):
        if job is None:
            raise ClusterError(f"{file}: which job? `hpobench cluster status {file}` lists them")
        log = cluster.log(job)
        if not log.is_file():
            raise ClusterError(f"{log}: there is no such file; has job {job} begun?")
        sys.stdout.write(log.read_text())
    else:
        with _jobs(cluster) as jobs:
            chosen = jobs.chosen(job)
            ending = jobs.follow(chosen, _write)
            print(f"job {chosen}: {ending.status.lower()}")


@app.command(epilog="Example: `hpobench cluster fetch cluster/aws.yaml digits-20260102-030405`")
def fetch(file: File, job: JobName = None, out: Out = None, wandb: Wandb = "offline") -> None:
    """Fetch the results of a job, as far as they are."""
    cluster = find_cluster(file)
    if isinstance(cluster, (RayJob, Slurm)):
        raise ClusterError(f"{file}: its runs lie on a volume that you share; there is no fetching")
    with _jobs(cluster) as jobs:
        chosen = jobs.chosen(job)
        _bring(jobs, chosen, out or Path("runs") / chosen, wandb)


@app.command(epilog="Example: `hpobench cluster down cluster/aws.yaml`")
def down(file: File) -> None:
    """Stop a cluster, with the jobs on it: `ray down`, `kubectl delete`, or `scancel`."""
    find_cluster(file).down()


@contextmanager
def _jobs(cluster: Kind) -> Iterator[Jobs]:
    assert not isinstance(cluster, (RayJob, Slurm))
    with cluster.reach() as address:
        yield Jobs(address)


def _checked(context: typer.Context, study: str) -> list[str]:
    """The options for `hpobench run`: what it would refuse is refused before it is sent."""
    given = list(context.args)
    for option in given:
        if option.partition("=")[0] in OURS:
            raise ClusterError(f"{option} comes from `submit` itself; leave it out")
    run = context.find_root().command.commands["run"]  # type: ignore[attr-defined]
    run.make_context("run", [study, *given])
    return given


def _see_through(jobs: Jobs, file: str, job: str, out: Path, wandb: str) -> None:
    try:
        ending = jobs.follow(job, _write)
    except KeyboardInterrupt:
        print(
            f"\nhpobench: job {job} goes on; `hpobench cluster logs {file} {job}` follows it again,"
            f" `hpobench cluster fetch {file} {job}` fetches what it has",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    if ending.status == "SUCCEEDED":
        _bring(jobs, job, out, wandb)
        return
    try:
        _bring(jobs, job, out, "offline")
        kept = f"; what it measured is in {out}"
    except ClusterError as error:
        kept = f"; {error}"
    raise ClusterError(f"job {job} {ending.status.lower()}: its log is above{kept}")


def _bring(jobs: Jobs, job: str, out: Path, wandb: str) -> None:
    jobs.fetch(job, out)
    print(f"run: {out}")
    if (out / "report.html").is_file():
        print(f"report: {out / 'report.html'}")
    if wandb == "online":
        import hpobench
        from hpobench.tracking.wandb.track import track

        track(hpobench.Results.load(out), wandb)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
