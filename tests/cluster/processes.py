"""The processes of one cluster, written down in its folder with their start times, so that whoever comes later ends exactly
those and no others."""
import ctypes
import glob
import os
import select
import shutil
import signal
import stat
import subprocess
import tempfile

PR_SET_PDEATHSIG = 1
END_SECONDS = 10  # for the kernel to end what got SIGKILL
LIBC = ctypes.CDLL(None, use_errno=True)


def base():
    """The folder that holds everybody's clusters of this user; only its own may be there."""
    path = f"/tmp/sluice-cluster-{os.getuid()}"
    os.makedirs(path, mode=0o700, exist_ok=True)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RuntimeError(f"{path} is not a folder of this user alone")
    return path


def start_time(pid):
    """When a process began, in ticks since boot: with its id the name of a process. None where there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def spawn(folder, name, argv, tied):
    """Starts a part; what it says goes to NAME.log. `tied`: it dies with the thread that calls this."""
    parent = os.getpid()

    def tie():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    with open(os.path.join(folder, name + ".log"), "ab") as log:
        child = subprocess.Popen(argv, cwd=folder, env={"PATH": os.environ.get("PATH", ""), "HOME": folder}, stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, start_new_session=True, preexec_fn=tie if tied else None)
    with open(os.path.join(folder, name + ".pid"), "w") as out:
        out.write(f"{child.pid} {start_time(child.pid) or 0}\n")
    return child


def find(folder, name):
    """The id of a part that lives, or None."""
    try:
        with open(os.path.join(folder, name + ".pid")) as file:
            pid, began = map(int, file.read().split())
    except (OSError, ValueError):
        return None
    return pid if start_time(pid) == began else None


def living(folder):
    names = [os.path.basename(path)[:-4] for path in sorted(glob.glob(os.path.join(folder, "*.pid")))]
    return [name for name in names if find(folder, name)]


def kill(folder, name):
    """SIGKILL to one part, and waits until it is gone. A descriptor of the process is held meanwhile: its id can't become another's."""
    pid = find(folder, name)
    if pid is None:
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if find(folder, name) != pid:
            return
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not select.select([handle], [], [], END_SECONDS)[0]:
            raise RuntimeError(f"{name} ({pid}) does not end")
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def remove(folder):
    """Ends every part of a cluster and removes its folder."""
    for name in living(folder):
        kill(folder, name)
    shutil.rmtree(folder)


def temporary():
    """A folder of this process, named by it; removes those whose process was itself killed."""
    for folder in glob.glob(os.path.join(base(), "test-*")):
        pid, began = map(int, os.path.basename(folder).split("-")[1:3])
        if start_time(pid) != began:
            try:
                remove(folder)
            except FileNotFoundError:  # another process removed it meanwhile
                pass
    return tempfile.mkdtemp(prefix=f"test-{os.getpid()}-{start_time(os.getpid())}-", dir=base())
