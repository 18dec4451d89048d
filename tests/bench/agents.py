"""Bench: a coordinator with thousands of agents. Heads, memory, idle CPU, a storm of reconnections, reports all the time.

The agents are thin and honest (tests/swarm/run.c), in processes of their own on the same cores: what they cost is in the times here.
AGENTS="1000 10000" says how many; a number that the limit of open files does not allow is made smaller, and said so.
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import swarm  # noqa: E402

COUNTS = [int(count) for count in os.environ.get("AGENTS", "1000 10000").split()]
ROUNDS, IDLE_SECONDS, LOAD_SECONDS = 3, 10, 20
HEAD_BUDGET_S, RSS_BUDGET_MIB, STORM_BUDGET_S = 3, 1024, 30


class Cost:
    """CPU seconds of the coordinator and of the swarm from here on."""

    def __init__(self, pid, agents):
        self.pid, self.agents = pid, agents
        self.before = swarm.cpu_seconds(pid), agents.cpu(), time.monotonic()

    def spent(self):
        return swarm.cpu_seconds(self.pid) - self.before[0], self.agents.cpu() - self.before[1], time.monotonic() - self.before[2]


def head_rounds(f, agents, pid):
    rounds = []
    for number in range(ROUNDS):
        verb = "resume" if number % 2 else "pause"
        cost = Cost(pid, agents)
        times = agents.round(lambda: f.sluice(verb, "dev", "--reason", "bench", "--yes"))
        spent = cost.spent()
        rounds.append({"acked_s": round(times["acked"], 3), "first_s": round(times["first"], 3), "heads_s": round(times["heads"], 3),
                       "coordinator_cpu_s": round(spent[0], 2), "agents_cpu_s": round(spent[1], 2)})
    return rounds


def load(agents, pid, period_s):
    agents.period(period_s * 1000)
    time.sleep(2)
    agents.rtt()
    cost = Cost(pid, agents)
    time.sleep(LOAD_SECONDS)
    coordinator, _, wall = cost.spent()
    rtt = agents.rtt()
    agents.period(0)
    return {"period_s": period_s, "reports_per_s": round(agents.count / period_s), "coordinator_cpu_percent": round(coordinator / wall * 100, 1),
            "rtt_p50_ms": rtt["p50_us"] / 1000, "rtt_p99_ms": rtt["p99_us"] / 1000}


def storm(f, agents):
    """The coordinator ends and comes back a second later."""
    f.kill("coordinator", signal.SIGTERM)
    time.sleep(1)
    began = time.monotonic()
    f.start_coordinator()
    serving = time.monotonic() - began
    absorbed = agents.wait_sessions(120)
    pid = f.processes["coordinator"].pid
    return {"serving_s": round(serving, 2), "absorbed_s": absorbed and round(time.monotonic() - began, 2),
            "coordinator_cpu_s": round(swarm.cpu_seconds(pid), 2), "rss_mib": round(swarm.rss_mib(pid), 1)}


def measure(wanted):
    count = swarm.most_agents(wanted)
    f = swarm.prepared_fleet(count)
    try:
        f.start_coordinator()
        pid = f.processes["coordinator"].pid
        empty = swarm.rss_mib(pid)
        began = time.monotonic()
        agents = swarm.Swarm(f, count)
        assert agents.wait_sessions(120), f"not all came: {agents.stat()}\n{f.log('coordinator')[-2000:]}"
        connect = time.monotonic() - began
        figures = {"agents": count, "asked_for": wanted, "connect_s": round(connect, 2), "connect_cpu_s": round(swarm.cpu_seconds(pid), 2),
                   "rss_empty_mib": round(empty, 1), "rss_mib": round(swarm.rss_mib(pid), 1)}
        figures["rounds"] = head_rounds(f, agents, pid)
        figures["rss_after_rounds_mib"] = round(swarm.rss_mib(pid), 1)
        figures["rss_per_agent_kib"] = round((swarm.rss_mib(pid) - empty) * 1024 / count, 1)
        cost = Cost(pid, agents)
        time.sleep(IDLE_SECONDS)
        figures["idle_cpu_percent"] = round(cost.spent()[0] / IDLE_SECONDS * 100, 2)
        figures["load"] = load(agents, pid, 10)
        figures["storm"] = storm(f, agents)
        agents.stop(f)
        return figures
    finally:
        f.stop()


def show(figures):
    count = figures["agents"]
    less = "" if count == figures["asked_for"] else f" (the limit of {swarm.file_limit()} open files allows no more)"
    worst = max(figures["rounds"], key=lambda each: each["acked_s"])
    print(f"{count} agents{less}")
    print(f"  all connected and served          {figures['connect_s']} s   coordinator CPU {figures['connect_cpu_s']} s")
    print(f"  order to all acknowledged, worst  {worst['acked_s']} s   (budget {HEAD_BUDGET_S} s)   CPU {worst['coordinator_cpu_s']} s, agents {worst['agents_cpu_s']} s")
    print(f"  RSS                               {figures['rss_after_rounds_mib']} MiB   (budget {RSS_BUDGET_MIB})   {figures['rss_per_agent_kib']} KiB an agent")
    print(f"  idle CPU                          {figures['idle_cpu_percent']} %")
    print(f"  a report each 10 s                {figures['load']}")
    print(f"  restart, all back                 {figures['storm']['absorbed_s']} s   (budget {STORM_BUDGET_S} s)   {figures['storm']}")


def main():
    all_figures = []
    for wanted in COUNTS:
        figures = measure(wanted)
        show(figures)
        all_figures.append(figures)
    swarm.save("agents", {"budgets": {"head_to_all_acknowledged_s": HEAD_BUDGET_S, "rss_mib": RSS_BUDGET_MIB, "storm_s": STORM_BUDGET_S},
                          "runs": all_figures})


if __name__ == "__main__":
    main()
