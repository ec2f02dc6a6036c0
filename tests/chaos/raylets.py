"""A Ray cluster of several raylets on this machine, in a process of its own.

As a script it is that process: it takes one order a line (JSON) on its standard input, answers
each with a line, and ends, with all of its raylets, when its standard input does. `Raylets` is
the caller's end of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.chaos.processes import below, until

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 100 * 1024**2
SECONDS_TO_END = 30.0
ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # by itself Ray lets every other process of a machine go first
}


class Raylets:
    """A head without a core for cells, and nodes of one core each that come and go."""

    def __init__(self, temporary: Path, nodes: int = 2):
        self.temporary = temporary / "tmp"
        """What its processes take for the machine's temporary folder."""
        self.temporary.mkdir()
        places = {"RAY_TMPDIR": str(temporary), "TMPDIR": str(self.temporary)}
        environment = {**os.environ, **ENVIRONMENT, **places}
        self._log = temporary / "raylets.log"
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                start_new_session=True,
            )
        self.address = str(self._ask("head")["address"])
        self.nodes: dict[int, int] = {}  # node → its raylet's process
        for _ in range(nodes):
            self.add()

    @property
    def pid(self) -> int:
        return self._process.pid

    def add(self) -> int:
        """A node joins; its number."""
        answer = self._ask("add")
        self.nodes[answer["node"]] = answer["raylet"]
        return int(answer["node"])

    def lose(self, node: int) -> None:
        """A node is gone, from one moment to the next."""
        self._ask("lose", node)
        del self.nodes[node]

    def in_use(self) -> list[str]:
        """What of the cluster somebody still holds: placement groups, actors, cores."""
        return list(self._ask("in_use")["in_use"])

    def workers(self, node: int) -> list[int]:
        """The processes of a node."""
        return list(below([self.nodes[node]]))

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        self._process.kill()
        self._process.wait()

    def _ask(self, order: str, node: int | None = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"order": order, "node": node}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the raylets' process has ended; see {self._log}")
        return dict(json.loads(line))


class Host:
    """The cluster itself; every method is an order."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self._nodes: list[Any] = []

    def head(self, _: None) -> dict[str, Any]:
        self._cluster.add_node(
            num_cpus=0, object_store_memory=MEMORY, include_dashboard=False, dashboard_port=0
        )
        return {"address": self._cluster.address}

    def add(self, _: None) -> dict[str, Any]:
        node = self._cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        self._nodes.append(node)
        [raylet] = [info.process.pid for info in node.all_processes["raylet"]]
        return {"node": len(self._nodes) - 1, "raylet": raylet}

    def lose(self, node: int) -> dict[str, Any]:
        self._cluster.remove_node(self._nodes[node], allow_graceful=False)
        return {}

    def in_use(self, _: None) -> dict[str, Any]:
        state = self._cluster.global_state
        groups = state.placement_group_table().values()
        held = [f"placement group {g['state']}" for g in groups if g["state"] != "REMOVED"]
        actors = state.actor_table(None).values()
        held += [f"actor {a['ActorClassName']}" for a in actors if a["State"] != "DEAD"]
        total, free = state.cluster_resources(), state.available_resources()
        if free.get("CPU", 0.0) < total.get("CPU", 0.0):
            held.append(f"{total['CPU'] - free.get('CPU', 0.0):g} cores")
        return {"in_use": held}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")  # Ray prints to standard output
    os.dup2(2, 1)
    from tests.hpobench.ray_cluster import patient_with_nodes

    host = Host()
    with patient_with_nodes():
        for line in sys.stdin:
            order = json.loads(line)
            answer = getattr(host, order["order"])(order["node"])
            print(json.dumps(answer), file=answers, flush=True)
    host._cluster.shutdown()
    until(lambda: not below([os.getpid()]), seconds=10)


if __name__ == "__main__":
    main()
