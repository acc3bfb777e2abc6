"""Processes of a run: started in groups of their own, measured from /proc, gone when the run is over."""

import os
import pathlib
import signal
import socket
import subprocess
import time

STOP_SECONDS = 4

# What asks a run to end.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Processes:
    """Everything started here is stopped at the end of the `with` block, however it ends."""

    def __init__(self, logs):
        self.logs = logs
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Impatience must not leave anything behind.
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        for process in list(self.running):
            self.stop(process)

    def start(self, name, command, env=None):
        """Starts `command` with its output in a file: a gateway that logs must pay for writing it."""
        with open(self.logs / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                cwd=self.logs,
                # A group of its own: children are stopped with it, and Ctrl-C reaches this script alone.
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def stop(self, process):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                pass
        process.wait(STOP_SECONDS)
        self.running.remove(process)

    def output(self, command, seconds):
        """What `command` prints; it is ended after `seconds`."""
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} {command[1]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout


def tree(root):
    """The ids of `root` and all its descendants."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The command name may hold anything; fields are counted after its closing parenthesis.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, left = [], [root]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def memory_mib(pids):
    """Proportional set size (PSS): what the processes share counts once."""
    total = 0
    for pid in pids:
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def free_ports(count):
    """Ports nobody listens on. All are held until the last is found, so that none comes twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


def nothing_else_runs():
    """Whether the processors are idle, over a short moment: load averages remember the build before."""
    def times():
        fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return fields[3] + fields[4], sum(fields[:8])

    idle_before, all_before = times()
    time.sleep(0.5)
    idle_after, all_after = times()
    return idle_after - idle_before > 0.9 * (all_after - all_before)
