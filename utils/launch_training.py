"""Start the processes of a training: one, several on this machine, or several on every node of a Slurm job.

Usage: launch_training.py --processes N [--nodes M] -- <arguments of python>
 e.g.: launch_training.py --processes 16 --nodes 2 -- -m vgspeech.bin.train --ngpu 8 ...

N is the number on all nodes together. With one process there is no torchrun; on one machine it is `torchrun --standalone`;
on several nodes one torchrun a node is started by srun, and they meet at the first node of the job's own list.

torchrun itself turns SIGTERM into an error and gives its processes 30 s. Here SIGTERM, SIGINT and SIGUSR1 reach the training
processes only, which stop after the step under way, with a checkpoint, and exit with 85. That status, and any other with a
meaning that the failed processes share, is the exit status (torchrun's is always 1).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent))
from job_guard import ignore_signals

PASSED_ON = {2, 3, 4, 75, 85}
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
stop_signals: list[int] = []  # those that came


def main() -> int:
    parser = argparse.ArgumentParser(description="see the top of this file")
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--rendezvous", default="", help="HOST:PORT; set by srun's tasks only")
    parser.add_argument("arguments", nargs="+")
    args = parser.parse_args()
    if args.processes < 1 or args.nodes < 1 or args.processes % args.nodes:
        stop(f"{args.processes} processes cannot be shared out evenly to {args.nodes} nodes")
    if args.processes == 1:
        os.execvp(sys.executable, [sys.executable, *args.arguments])
    share_threads(args.processes // args.nodes)
    if args.nodes > 1 and not args.rendezvous:
        return start_on_nodes(args.processes, args.nodes, args.arguments)
    return run_torchrun(args.processes // args.nodes, args.nodes, args.rendezvous, args.arguments)


def stop(message: str) -> NoReturn:
    print(f"launch_training.py: {message}", file=sys.stderr)
    sys.exit(2)


def share_threads(processes: int) -> None:
    """The job's threads are for all its processes on the node; the first call of this program shares them out."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and "VGS_THREADS_SHARED" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(max(1, int(threads) // processes))
        os.environ["VGS_THREADS_SHARED"] = "1"


# ---- several nodes ----


def start_on_nodes(processes: int, nodes: int, arguments: list[str]) -> int:
    """This program once on every node of the job, by srun; the exit status."""
    job = os.environ.get("SLURM_JOB_ID", "")
    if not job:
        stop(f"{nodes} nodes need a Slurm job: use slurm.pl as the job runner (cmd.sh), or --num-nodes 1")
    if (given := int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))) < nodes:
        stop(f"the job has {given} nodes, not {nodes}: does conf/slurm.conf turn num_nodes into --nodes?")
    host = address(first_node(os.environ["SLURM_JOB_NODELIST"]))
    port = 20000 + int(job) % 20000
    # When one node fails the others have a minute to end in their own way, with a checkpoint perhaps. sbatch
    # --export=PATH would hold for srun too, and srun does not take --cpus-per-task from the job by itself.
    words = [
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        "--kill-on-bad-exit=0",
        "--wait=60",
    ]
    words += ["--export=ALL"]
    if cpus := os.environ.get("SLURM_CPUS_PER_TASK"):
        words += [f"--cpus-per-task={cpus}"]
    words += [sys.executable, __file__, "--processes", str(processes), "--nodes", str(nodes)]
    words += ["--rendezvous", f"{host}:{port}", "--", *arguments]
    print(f"launch_training.py: {nodes} nodes of {processes // nodes} processes, meeting at {host}:{port}", flush=True)
    # srun passes SIGUSR1 on, but kills everything at SIGTERM: it must not be in the process group that gets ours.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    srun = subprocess.Popen(words, start_new_session=True, preexec_fn=unblock)
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: srun.send_signal(signal.SIGUSR1))
    unblock()
    status = srun.wait()
    ignore_signals(SIGNALS)
    return status if status in PASSED_ON | {0} or status > 128 else 1


def unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def first_node(nodelist: str) -> str:
    """``gpu[03-04,07]`` -> ``gpu03``."""
    return subprocess.check_output(["scontrol", "show", "hostnames", nodelist], text=True).split()[0]


def address(node: str) -> str:
    """The node's name, or the address that Slurm uses where its names mean nothing to others."""
    with contextlib.suppress(OSError):
        socket.getaddrinfo(node, None)
        return node
    shown = subprocess.check_output(["scontrol", "-o", "show", "node", node], text=True)
    match = re.search(r"\bNodeAddr=(\S+)", shown)
    return match[1] if match else node


# ---- one node ----


def run_torchrun(processes: int, nodes: int, rendezvous: str, arguments: list[str]) -> int:
    """torchrun within this process; its exit status."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    words = [f"--nproc-per-node={processes}", "--max-restarts=0", "--signals-to-handle=SIGQUIT"]
    if nodes > 1:
        # Slurm's names of nodes need not be what the machines call themselves.
        first, here = int(os.environ["SLURM_NODEID"] == "0"), address(os.environ["SLURMD_NODENAME"])
        words += [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={rendezvous}"]
        words += [f"--rdzv-conf=is_host={first}", f"--local-addr={here}"]
        words += [f"--rdzv-id={os.environ['SLURM_JOB_ID']}.{os.environ.get('SLURM_RESTART_COUNT', '0')}"]
    else:
        words += ["--standalone"]
    ended_before = ended_children()

    def pass_on(number: int, _frame: FrameType | None) -> None:
        """To the training processes (not to the helpers that load their data); end here if there are none yet."""
        stop_signals.append(number)
        started = children()
        if not started and ended_children() == ended_before:
            sys.exit(128 + signal.SIGTERM)
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    for number in SIGNALS:
        signal.signal(number, pass_on)
    try:
        run.main([*words, "--no-python", sys.executable, *arguments])
    except ChildFailedError as error:
        codes: dict[int, int] = {rank: failure.exitcode for rank, failure in error.failures.items()}
        shown = ", ".join(f"process {rank}: {code}" for rank, code in sorted(codes.items()))
        print(f"launch_training.py: ended with status {shown}", file=sys.stderr)
        return common_status(set(codes.values()), asked=bool(stop_signals))
    finally:
        ignore_signals(SIGNALS)
    return 0


def common_status(codes: set[int], *, asked: bool) -> int:
    """One status for all processes.

    Args:
        codes: exit statuses; negative ones are signals. Where one process fails, torchrun ends the others, which then say 85
            or die of SIGTERM, and lost connections make 1 of what was another's fault.
        asked: whether this program asked the processes to stop. Then 85 is an answer, and SIGKILL that of torchrun's patience.
    """
    telling = codes & (PASSED_ON - {85})
    if len(telling) == 1:
        return telling.pop()
    failed = {code for code in codes if code > 0} - {85}
    if 85 in codes and not failed and (asked or -signal.SIGKILL not in codes):
        return 85
    if codes == {-signal.SIGTERM} and asked:  # before there was anything to save
        return 128 + signal.SIGTERM
    return 137 if -signal.SIGKILL in codes else 1


def children() -> list[int]:
    """This process's children (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(entry.read_text().rsplit(")", 1)[1].split()[1]) == os.getpid():
                found.append(int(entry.parent.name))
    return found


def ended_children() -> int:
    """Grows with every child that has ended: their page faults, of which each has some."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt


if __name__ == "__main__":
    sys.exit(main())
