"""Starting what is measured: bound to processors, in its interpreter, each in a process of its own."""

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time

POOLS = ("OMP", "OPENBLAS", "MKL", "RAYON")


def environment(threads):
    """The environment in which libraries take no more threads than they are given."""
    counts = {f"{pool}_NUM_THREADS": str(threads) for pool in POOLS}
    return dict(os.environ, **counts, LANCE_CPU_THREADS=str(threads), TOKIO_WORKER_THREADS=str(threads), TF_CPP_MIN_LOG_LEVEL="3")


def bound(command, threads):
    """The command that does the same on the first processors."""
    return ["taskset", "-c", ",".join(map(str, range(threads))), *command]


def run(command, threads, limit=None):
    """What a command prints, bound to the first processors; nothing, and a word of why, if it fails or takes more seconds than that."""
    try:
        done = subprocess.run(bound(command, threads), env=environment(threads), capture_output=True, text=True, timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        print(f"  not done after {limit} s", file=sys.stderr)
        return None
    except subprocess.CalledProcessError as error:
        print(f"  status {error.returncode}: {error.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    return done.stdout


def answer_of(output):
    """The line of JSON in what a process printed, among lines that a library may have printed."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else None


class Interpreters:
    """Which Python runs which rival: that of this process, unless NAME=PATH names one for the rivals whose names begin so.

    None of them may take more than `limit` seconds for one thing.
    """

    def __init__(self, pairs, limit):
        self.limit = limit
        self.pairs = [pair.split("=", 1) for pair in pairs]

    def command(self, verb, name, folder, threads, *rest):
        """The command that lets a rival do one thing."""
        python = next((path for start, path in self.pairs if name.startswith(start)), sys.executable)
        one = os.path.join(os.path.dirname(os.path.abspath(__file__)), "one.py")
        return [python, one, verb, name, folder, str(threads), *map(str, rest)]

    def ask(self, verb, name, folder, threads, *rest):
        """The answer of a rival that does one thing; nothing if it fails."""
        output = run(self.command(verb, name, folder, threads, *rest), threads, self.limit)
        return None if output is None else answer_of(output)


def watch(command, threads):
    """Runs a fresh process; its seconds from start to exit, bytes it read from devices, and what it printed."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, env=environment(threads), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    child.stdout.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:4])}: status {child.returncode}")
    return seconds, usage.ru_inblock * 512, output


def anonymous_memory(command, threads):
    """The most anonymous memory of a process, in bytes: its status is read again and again until it ends."""
    child = subprocess.Popen(command, env=environment(threads), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0
    while child.poll() is None:
        most = max(most, anonymous_of(child))
    return most


def anonymous_of(child):
    """The anonymous memory that a process has, in bytes."""
    with open(f"/proc/{child.pid}/status", encoding="ascii") as status:
        return sum(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


def observe(command, threads, lines=(), limit=math.inf):
    """Runs a process for long: its seconds, bytes it read from devices, its most anonymous memory, and what it wrote to standard error.

    It is sent one line after the other, each when it has answered the one before with a line. After `limit` seconds it is killed.
    """
    with tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        child = subprocess.Popen(bound(command, threads), env=environment(threads), **pipes)
        most, is_done = [0], threading.Event()
        watcher = threading.Thread(target=keep_looking, args=(child, most, is_done, begun + limit))
        watcher.start()
        try:
            for line in lines:
                child.stdin.write(line)
                child.stdin.flush()
                child.stdout.readline()
            child.stdin.close()
            child.stdout.read()
        except BrokenPipeError:
            # It has ended, and its status says why.
            child.stdout.read()
        except BaseException:
            child.kill()
            raise
        finally:
            is_done.set()
            watcher.join()
            _, status, usage = os.wait4(child.pid, 0)
        child.stdout.close()
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begun
        errors.seek(0)
        written = errors.read()
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {child.returncode}: {written.strip()[-300:]}")
    return {"seconds": seconds, "read": usage.ru_inblock * 512, "anonymous": most[0], "errors": written}


def keep_looking(child, most, is_done, end):
    """Notes the most anonymous memory of a process until it is done; each hundredth of a second, which leaves the processor alone."""
    while not is_done.wait(0.01):
        most[0] = max(most[0], anonymous_of(child))
        if time.perf_counter() > end:
            child.kill()
            return
