"""A process of the platform makes room for its connections before it serves."""

import subprocess
import sys

SCRIPT = """
import resource
_, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, highest))
from infra.serve import allow_many_connections
allow_many_connections()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (highest, highest), highest > 256)
"""


def test_the_soft_limit_of_open_files_does_not_bound_the_devices() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
