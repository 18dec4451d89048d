"""A swarm of thin agents (tests/swarm) in front of a real coordinator, for benches and flood tests."""
import json
import os
import resource
import select
import subprocess
import time

import fleet

SEED = "bench"
FILES_PER_AGENT = 2  # a TCP connection and libzmq's eventfd
FILES_BESIDE = 2816  # of a coordinator: what it keeps for HTTP, enrolment and handshakes under way
PROCESS = fleet.BIN + "/sluice-swarm"


def file_limit():
    """Open files that one process here may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def most_agents(wanted):
    """`wanted`, or what one coordinator may hold here."""
    return min(wanted, (file_limit() - FILES_BESIDE) // 100 * 100)


class Process:
    """sluice-swarm run: `ask` writes a command and reads its answer."""

    def __init__(self, f, first, count, period_ms, env="dev"):
        with open(f.state + "/keys/curve") as file:
            key = next(line.split()[1] for line in file if line.startswith("public: "))
        self.child = subprocess.Popen(
            [PROCESS, "run", f"tcp://127.0.0.1:{f.port}", key, env, SEED, str(first), str(count), str(period_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        f.processes[f"swarm{first}"] = self.child

    def tell(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()

    def hear(self, seconds):
        if not select.select([self.child.stdout], [], [], seconds)[0]:
            raise AssertionError(f"the swarm did not answer in {seconds} s")
        return json.loads(self.child.stdout.readline())

    def ask(self, command, seconds=30):
        self.tell(command)
        return self.hear(seconds)


class Swarm:
    """`count` agents in as many processes as the descriptor limit asks for."""

    def __init__(self, f, count, period_ms=0, first=0):
        most = (file_limit() - 200) // (FILES_PER_AGENT + 1)  # who leaves is not gone yet when others come
        self.count, self.processes = count, []
        while count > 0:
            part = min(count, most)
            self.processes.append(Process(f, first, part, period_ms))
            first, count = first + part, count - part

    def stat(self):
        parts = [process.ask("stat") for process in self.processes]
        return {key: sum(part[key] for part in parts) for key in parts[0]}

    def rtt(self):
        """Of the process with most agents."""
        return max((process.ask("rtt") for process in self.processes), key=lambda part: part["count"])

    def period(self, ms):
        for process in self.processes:
            process.ask(f"period {ms}")

    def cpu(self):
        return sum(cpu_seconds(process.child.pid) for process in self.processes)

    def wait_sessions(self, seconds):
        """Seconds until every agent has a head, or None."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.stat()["sessions"] == self.count:
                return time.monotonic() - began
            time.sleep(0.1)
        return None

    def round(self, cause, seconds=60):
        """Calls `cause`; seconds from then to the first head, the last head and the last acknowledgement."""
        for process in self.processes:
            process.tell("round")
        time.sleep(0.05)
        began = time.monotonic()
        cause()
        parts = [process.hear(seconds) for process in self.processes]
        return {"first": min(part["first_us"] for part in parts) / 1e6 - began,
                "heads": max(part["heads_us"] for part in parts) / 1e6 - began,
                "acked": max(part["acked_us"] for part in parts) / 1e6 - began}

    def stop(self, f):
        for process in self.processes:
            process.child.stdin.close()
            process.child.wait(timeout=60)
        for name in [name for name in f.processes if name.startswith("swarm")]:
            del f.processes[name]


def rss_mib(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prepared_fleet(count, configure=None):
    """A fleet whose environment dev has `count` registered agents; its coordinator is not started."""
    file_limit()
    f = fleet.Fleet()
    try:
        fleet.change_config(f.state, lambda config: config["agents"].update(max=max(count, 100)))
        if configure:
            fleet.change_config(f.state, configure)
        f.run(PROCESS, "prepare", f.state, "dev", SEED, str(count))
    except BaseException:
        f.stop()
        raise
    return f


def save(name, figures):
    out = os.path.join(fleet.ROOT, "build", "bench")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, name + ".json"), "w") as file:
        json.dump(figures, file, indent=2)
        file.write("\n")
