# SPDX-License-Identifier: Apache-2.0
"""Small file systems that can be filled up."""
import functools
import os
import subprocess
import tempfile


def _run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip() if done.returncode else None


@functools.lru_cache(maxsize=None)
def why_no_mounts():
    """Why tmpfs cannot be mounted here; None when it can."""
    if os.geteuid() != 0:
        return "only root can mount a small file system"
    with tempfile.TemporaryDirectory() as place:
        trouble = _run("mount", "-t", "tmpfs", "-o", "size=1m", "none", place)
        return f"no small file system can be mounted: {trouble}" if trouble else _run("umount", place)


class Tmpfs:
    """A file system in memory of `size`, as mount(8) takes it."""

    def __init__(self, place, size):
        self.path = place
        place.mkdir()
        trouble = _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(place))
        assert not trouble, trouble
        self._ballast = place / "ballast"

    def fill(self):
        """Leaves not one byte free."""
        with open(self._ballast, "ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 16, 4096, 1):
                while True:
                    try:
                        if ballast.write(bytes(size)) < size:
                            break
                    except OSError:
                        break

    def free(self):
        """Takes away what fill() put there."""
        self._ballast.unlink()

    def unmount(self):
        trouble = _run("umount", str(self.path))
        assert not trouble, trouble
