"""The programs of this repository as processes: local services, and the autoscaler."""

import contextlib
import json
import os
import re
import subprocess
import threading
import time

from emulator import Emulator

# What the program takes for the region of a loopback endpoint.
REGION = "us-east-1"
WAIT_SECONDS_MAX = 60


class Program:
    """A process whose lines are kept, and which ends when its standard input is closed."""

    def __init__(self, *arguments, lines_of):
        self.process = subprocess.Popen(
            [os.environ["LEASEHOLD_PROGRAM"], *arguments, "--stop-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if lines_of == "stdout" else subprocess.DEVNULL,
            stderr=subprocess.PIPE if lines_of == "stderr" else None,
            text=True,
        )
        self.lines = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read, args=[getattr(self.process, lines_of)])
        self.reader.start()

    def read(self, stream):
        for line in stream:
            with self.changed:
                self.lines.append(line.rstrip())
                self.changed.notify_all()

    def wait_for(self, wanted):
        """What `wanted` makes of the first line of which it makes anything."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        with self.changed:
            seen = 0
            while True:
                for line in self.lines[seen:]:
                    if found := wanted(line):
                        return found
                seen = len(self.lines)
                assert self.process.poll() is None and self.changed.wait(deadline - time.monotonic()), self.told()

    def told(self):
        return "\n".join(["the program told only:", *self.lines])

    def stop(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout=WAIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.reader.join()
        assert code == 0, self.told()


@contextlib.contextmanager
def services(folder, *options):
    """`leasehold services` on a free port."""
    program = Program("services", "--port", "0", "--data", str(folder), *options, lines_of="stdout")
    try:
        found = program.wait_for(lambda line: re.search(r"at (http://127\.0\.0\.1:\d+);", line))
        yield Emulator(found.group(1), REGION)
    finally:
        program.stop()


@contextlib.contextmanager
def autoscaler(emulator, stream, queue_url, *options):
    """`leasehold autoscale apply`, woken by a queue."""
    program = Program(
        "autoscale", "apply", "--stream", stream, "--queue", queue_url, "--endpoint", emulator.endpoint,
        "--log", "json", *options, lines_of="stderr",
    )
    try:
        yield program
    finally:
        program.stop()


def event(**fields):
    """For `wait_for`: a line of JSON with these words in these fields."""
    def wanted(line):
        told = json.loads(line).get("fields", {}) if line.startswith("{") else {}
        return told if all(word in str(told.get(name, "")) for name, word in fields.items()) else None
    return wanted
