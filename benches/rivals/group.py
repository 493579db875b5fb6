"""A control group of Linux: what its processes allocate, and what they bring into the page cache, stays below a limit. Wants root."""

import os

ROOT = "/sys/fs/cgroup"
# Files of a group that hold its limit, with and without swap, and the controller's folder: of the first version, and of the second.
FIRST = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", f"{ROOT}/memory")
SECOND = ("memory.max", "memory.swap.max", ROOT)


class Group:
    """A group that is there as long as the `with` block around it."""

    def __init__(self, allowed):
        self.limit, self.swap, root = FIRST if os.path.isdir(FIRST[2]) else SECOND
        self.folder = os.path.join(root, f"vexfs-{os.getpid()}")
        self.allowed = allowed
        # The first version counts memory and swap together, the second swap alone.
        self.allowed_swap = allowed if root == FIRST[2] else 0

    def __enter__(self):
        os.mkdir(self.folder)
        try:
            self.write(self.limit, self.allowed)
        except FileNotFoundError:
            os.rmdir(self.folder)
            raise SystemExit(f"{self.folder} can have no memory limit: no memory in {SECOND[2]}/cgroup.subtree_control") from None
        # There is none in a kernel without swap.
        if os.path.exists(os.path.join(self.folder, self.swap)):
            self.write(self.swap, self.allowed_swap)
        return self

    def write(self, name, value):
        """Sets a file of the group, which the kernel has made."""
        with open(os.path.join(self.folder, name), "r+", encoding="ascii") as out:
            out.write(str(value))

    def __exit__(self, *_):
        os.rmdir(self.folder)

    def within(self, command):
        """The command that does the same inside the group, under the same process number."""
        return ["sh", "-c", f'echo $$ >{self.folder}/cgroup.procs && exec "$@"', "sh", *command]
