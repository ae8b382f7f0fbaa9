"""A cluster for tests: Debian's munged, slurmctld and slurmd, two nodes on this machine, in one folder."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NODES = ("node0", "node1")
LARGEST_ARRAY = 40

CONF = """
ClusterName=assaytest
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=8
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=8
SlurmctldTimeout=8
MessageTimeout=5
KillWait=2
MinJobAge=300
MaxArraySize={largest}
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,bf_interval=1
JobRequeue=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu,npu
NodeName=node0 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node_ports[0]} CPUs=2 RealMemory=4000 Gres=gpu:acme:2,npu:1
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node_ports[1]} CPUs=2 RealMemory=4000 Gres=gpu:acme:2,npu:1
PartitionName=main Nodes=node0,node1 Default=YES MaxTime=60 DefMemPerNode=1000 State=UP
PartitionName=short Nodes=node0,node1 MaxTime=1 DefMemPerNode=1000 State=UP
"""
GRES = """
NodeName=node0,node1 Name=gpu Type=acme File=/dev/null
NodeName=node0,node1 Name=gpu Type=acme File=/dev/zero
NodeName=node0,node1 Name=npu Count=1
"""
# Both nodes are this machine: without it they would wait for each other's devices.
PROLOG = """#!/bin/sh
echo export ASSAY_LOCKS={folder}/locks-$SLURMD_NODENAME
"""


def missing() -> list[str]:
    """Return the programs of Slurm and munge that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


@dataclass
class Cluster:
    """Running daemons, and what commands need to reach them."""

    folder: Path
    ports: list[int]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """Return the variables with which Slurm's commands find this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": PATH}

    def write(self) -> None:
        """Write the configuration of every daemon."""
        for name in ("state", "log", "munge"):
            (self.folder / name).mkdir()
        key = self.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        text = CONF.format(
            folder=self.folder,
            user=pwd.getpwuid(os.geteuid()).pw_name,
            ctld_port=self.ports[0],
            node_ports=self.ports[1:],
            largest=LARGEST_ARRAY,
        )
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")
        (self.folder / "gres.conf").write_text(GRES, encoding="utf-8")
        prolog = self.folder / "prolog"
        prolog.write_text(PROLOG.format(folder=self.folder), encoding="utf-8")
        prolog.chmod(0o755)

    def start(self) -> None:
        """Start munged, the controller and every node, and wait until the nodes are idle."""
        self.start_munge()
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.restore()

    def restore(self) -> None:
        """Start what a test has ended, empty the queue, and wait until both nodes are idle."""
        if "slurmctld" not in self.daemons:
            self.start_controller()
        for node in NODES:
            if node not in self.daemons:
                self.start_node(node)
        self.call("scancel", "--me")
        self.resume()
        idle = dict.fromkeys(NODES, "idle")
        # A controller that was killed may have forgotten its last jobs, which still run, and give their
        # numbers to the next ones: a node that is sent such a one is drained.
        wait_until(lambda: self.well() and not self.keepers())
        self.resume()
        wait_until(lambda: self.well() and self.states() == idle and not self.queue())

    def drain(self) -> None:
        """Let no node start a task."""
        for node in NODES:
            self.call("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def resume(self) -> None:
        """Let every node start tasks again."""
        for node in NODES:
            self.call("scontrol", "update", f"nodename={node}", "state=resume")

    def queue(self) -> str:
        """Return what the queue has."""
        return self.call("squeue", "--me", "-h").stdout

    def start_munge(self) -> None:
        """Start munged with a key and a socket of this cluster's own."""
        folder = self.folder
        self._start(
            "munged",
            *("--foreground", "--force", f"--key-file={folder}/munge/key"),
            *(f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge/pid"),
            *(f"--log-file={folder}/log/munged.log", f"--seed-file={folder}/munge/seed"),
        )
        wait_until(lambda: self.well() and (folder / "munge.socket").exists())

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        wait_until(lambda: self.well() and "UP" in self.call("scontrol", "ping").stdout)

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self._start("slurmd", "-D", "-N", node, "-f", str(self.folder / "slurm.conf"), name=node)

    def kill(self, name: str) -> None:
        """End a daemon as a power cut would: with SIGKILL."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def cut(self, node: str) -> None:
        """Cut a node off: its slurmd, and every process of its jobs, before one can report the other's end."""
        self.kill(node)
        self._kill_all(self.keepers(node))
        self._kill_all(self.processes(node))

    def keepers(self, node: str = "") -> list[int]:
        """Return the slurmstepd processes of this cluster, of one node or of all."""
        mine = self._processes(b"slurmstepd", {self._mark})
        if not node:
            return mine
        return [pid for pid in mine if pid in {_parent(child) for child in self.processes(node)}]

    def processes(self, node: str = "") -> list[int]:
        """Return the processes of this cluster's jobs, of one node or of all."""
        names = [node] if node else NODES
        found = [self._processes(b"", {self._mark, f"SLURMD_NODENAME={name}"}) for name in names]
        return [pid for pids in found for pid in pids]

    @property
    def _mark(self) -> str:
        return f"SLURM_CONF={self.folder}/slurm.conf"

    @staticmethod
    def _processes(program: bytes, marks: set[str]) -> list[int]:
        wanted = {mark.encode() for mark in marks}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                environ = set((folder / "environ").read_bytes().split(b"\0"))
                if wanted <= environ and program in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found

    @staticmethod
    def _kill_all(pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def call(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Slurm's."""
        return subprocess.run(
            argv,
            env=os.environ | self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def well(self) -> bool:
        """Return True; AssertionError with the daemon's last words if one has ended by itself."""
        for name, daemon in self.daemons.items():
            assert daemon.poll() is None, (self.folder / "log" / f"{name}.out").read_text()[-800:]
        return True

    def states(self) -> dict[str, str]:
        """Return the state of every node: ``idle``, ``alloc``, ``down*`` …"""
        lines = self.call("sinfo", "-h", "-N", "-p", "main", "-o", "%N %t").stdout.splitlines()
        return {name: state for name, state in (line.split() for line in lines)}

    def stop(self) -> None:
        """End every daemon and every process of a job."""
        for name in (*NODES, "slurmctld"):
            if name in self.daemons:
                self.kill(name)
        self._kill_all(self.keepers())
        self._kill_all(self.processes())
        if "munged" in self.daemons:
            self.kill("munged")

    def _start(self, program: str, *words: str, name: str | None = None) -> None:
        path = shutil.which(program, path=PATH)
        assert path is not None, f"{program} is not installed"
        output = (self.folder / "log" / f"{name or program}.out").open("ab")
        with output:
            self.daemons[name or program] = subprocess.Popen(
                [path, *words],
                env=os.environ | self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run a cluster in a folder of its own, and leave neither processes nor files."""
    # A socket's path is short; pytest's folders are not.
    folder = Path(tempfile.mkdtemp(prefix="assay-slurm-"))
    folder.chmod(0o755)
    cluster = Cluster(folder=folder, ports=free_ports(1 + len(NODES)))
    try:
        cluster.write()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
