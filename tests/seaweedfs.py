"""A real S3 server for tests: SeaweedFS, on free ports, with one bucket."""

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.balancers import free_port
from tests.http_server import ENVIRONMENT, PATIENCE, eventually
from tests.programs import installed

BUCKET = "digits"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1"}
PORTS = ("master.port", "volume.port", "filer.port", "admin.port", "s3.port")
UNUSED = ("-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0")


@contextmanager
def running_s3(folder: Path) -> Iterator[str]:
    """Run the server until its bucket can be asked for; yield its address."""
    ports = {name: free_port() for name in (*PORTS, *(f"{name}.grpc" for name in PORTS))}
    flags = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", f"-bucket={BUCKET}", *UNUSED]
    flags += [f"-{name}={port}" for name, port in ports.items()]
    weed = installed("team", "weed")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([weed, "mini", *flags], cwd=folder, env=ENVIRONMENT | KEYS, stdout=log, stderr=log)
    try:
        eventually(lambda: _has_bucket(ports["filer.port"]), (folder / "log").read_text)
        yield f"http://127.0.0.1:{ports['s3.port']}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _has_bucket(port: int) -> bool:
    """Ask the filer whether the bucket is there; S3 itself answers 403 without the keys, there or not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("HEAD", f"/buckets/{BUCKET}/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
