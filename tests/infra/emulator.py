"""ministack as a process on a free loopback port, and clients for it."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import boto3

REGION = "eu-west-1"
ACCOUNT = "000000000000"
START_SECONDS_MAX = 60


class Emulator:
    def __init__(self, endpoint, region=REGION):
        self.endpoint = endpoint
        self.region = region

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


@contextlib.contextmanager
def running(folder, region=REGION):
    """Starts an emulator that knows nothing yet, and ends it."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
    }
    program = pathlib.Path(sys.executable).parent / "ministack"
    with open(folder / "ministack.log", "w") as log:
        process = subprocess.Popen([program], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_it_answers(process, endpoint, folder / "ministack.log")
            yield Emulator(endpoint, region)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until_it_answers(process, endpoint, log):
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"ministack ended with {process.returncode}: {log.read_text()}")
        try:
            with urllib.request.urlopen(endpoint, timeout=1):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"ministack did not answer within {START_SECONDS_MAX} s: {log.read_text()}")
