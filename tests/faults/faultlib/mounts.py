# SPDX-License-Identifier: Apache-2.0
"""Small file systems that can be filled up."""
import fcntl
import functools
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path


EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2


def _run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip() if done.returncode else None


def _unmount(path):
    """Leaves no mount behind, also when somebody still uses it; that is an error all the same."""
    trouble = _run("umount", str(path))
    if trouble:
        _run("umount", "-l", str(path))
    assert not trouble, trouble


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
        _unmount(self.path)


class Ext4:
    """A file system that becomes read-only when the kernel finds an error in it, as real ones do."""

    def __init__(self, place, mib):
        self.path, self.image = place, place.with_suffix(".image")
        place.mkdir()
        self.image.write_bytes(b"")
        os.truncate(self.image, mib << 20)

    def try_mount(self):
        """Why it cannot be mounted, or be made to fail; None when it is mounted."""
        if not all(map(shutil.which, ("mkfs.ext4", "e2fsck"))):
            return "e2fsprogs is not installed"
        trouble = _run("mkfs.ext4", "-q", "-F", str(self.image)) or self.mount()
        if trouble:
            return trouble
        if not self._switch().exists():
            self.unmount()
            return f"{self._switch()} is not there"
        return None

    def mount(self):
        return _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.path))

    def _switch(self):
        device = os.stat(self.path).st_dev
        name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
        return Path("/sys/fs/ext4") / name / "trigger_fs_error"

    def cut_power(self):
        """From now on nothing reaches the image; what the journal had not committed by then is lost."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def power_up(self):
        """The kernel plays the journal; the image must be in order then, without anybody's repair."""
        self.unmount()
        trouble = self.mount()
        assert not trouble, trouble

    def fail(self):
        self._switch().write_text("1")

    def repair(self):
        self.unmount()
        _run("e2fsck", "-f", "-y", str(self.image))
        trouble = self.mount()
        assert not trouble, trouble

    def unmount(self):
        _unmount(self.path)
