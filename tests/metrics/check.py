"""Scrapes the running demo with a real Prometheus and compares; see `run`."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

DEADLINE_SECONDS = 60
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
COUNT = "http_server_request_duration_seconds_count"

# Every kind of point, with labels that try to break out of their line.
HOSTILE = 'a"} 1\nfaked{x="\\'


def main(demo):
    names = ["api-node", "api-python", "api-node-metrics", "api-python-metrics", "otlp-grpc", "otlp-http"]
    names += ["web", "health", "self-metrics", "prometheus", "server"]
    ports = dict(zip(names, free_ports(len(names))))
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    with tempfile.TemporaryDirectory() as scratch:
        flags = [part for name in names[:-1] for part in (f"--{name}-port", str(ports[name]))]
        with (
            running("the demo", [demo, "--dir", f"{scratch}/demo", "--load", "20", *flags], scratch),
            running("Prometheus", server(scratch, ports), scratch),
        ):
            eventually("the demo is ready", lambda: get(at["api-node"] + "/healthz"))
            push(at["otlp-http"] + "/v1/metrics")
            check_formats(at)
            check_server(at)
    print("tests/metrics: all is well")


def check_formats(at):
    """What is served parses, in both formats, and says the same whichever way it came."""
    served = {
        "api-node": at["api-node-metrics"] + "/metrics",
        "api-node, on its own port": at["api-node"] + "/prometheus/metrics",
        "api-python": at["api-python-metrics"] + "/metrics",
        "the agent": at["prometheus"] + "/metrics",
    }
    labels = {}
    for who, url in served.items():
        eventually(f"{who} tells of requests", lambda: require(COUNT in get(url), url))
        text = get(url, {"Accept": OPENMETRICS})
        families = list(parse_openmetrics(text))
        plain = get(url)
        parse = list(parse_text(plain))
        require(len(families) > 10 and parse, f"{who} serves {len(families)} families")
        promtool = subprocess.run(["promtool", "check", "metrics"], input=plain, text=True, capture_output=True)
        # 3 is advice on names; what cannot be parsed is 1.
        require(promtool.returncode in (0, 3), f"{who}: promtool says {promtool.stderr}\n{plain}")
        require(" # {" in text, f"{who} serves no example")
        labels[who] = {name_and_labels(sample) for family in families for sample in family.samples}
        print(f"tests/metrics: {who}: {len(families)} families, {len(labels[who])} series")

    agent = labels["the agent"]
    for who in ("api-node", "api-python"):
        url = served[who]
        eventually(f"{who} serves and pushes the same series", lambda: same_series(who, url, served["the agent"]))
    hostile = [dict(s[1]).get("hostile") for s in agent if s[0] == "pushed_hits_total"]
    require(hostile == [HOSTILE], f"the hostile label came through as {hostile}")


def same_series(who, pulled, pushed):
    """Names and labels are the same both ways, but for `job` and `instance`, which a scrape gets from its configuration."""
    read = lambda url: {
        name_and_labels(sample)
        for family in parse_openmetrics(get(url, {"Accept": OPENMETRICS}))
        for sample in family.samples
        if sample.name != "target_info"
    }
    ours = {without(series, "job", "instance") for series in read(pushed) if dict(series[1]).get("job") == who}
    theirs = read(pulled)
    require(ours == theirs, f"only pulled: {sorted(theirs - ours)[:5]}, only pushed: {sorted(ours - theirs)[:5]}")


def check_server(at):
    """Prometheus scrapes all of it, nothing is ever reset, and an example leads to a trace that the agent holds."""
    ask = lambda path, **query: json.loads(get(f"{at['server']}/api/v1/{path}?{urllib.parse.urlencode(query)}"))["data"]

    def all_up():
        targets = ask("targets")["activeTargets"]
        require(len(targets) == 5, "five targets")
        for target in targets:
            require(target["health"] == "up" and not target["lastError"], f"{target['scrapeUrl']}: {target['lastError']}")

    eventually("every target is up", all_up)

    def has_example():
        now = time.time()
        series = ask("query_exemplars", query=COUNT.replace("_count", "_bucket"), start=now - 120, end=now)
        ways = {}
        for one in series:
            for exemplar in one["exemplars"]:
                ways.setdefault(one["seriesLabels"]["way"], []).append(exemplar["labels"]["trace_id"])
        require({"pulled", "pushed"} <= ways.keys(), f"examples came by {sorted(ways)}")
        return ways

    for way, traces in eventually("Prometheus has examples of both ways", has_example).items():
        eventually(f"the store holds a trace of an example that was {way}", lambda: any_trace(at["web"], traces))

    # Long enough for several pushes and scrapes.
    began = time.time()
    grown = f"sum by (way) ({COUNT}{{job=\"api-node\"}})"
    first = eventually("both ways have counted", lambda: by_way(ask("query", query=grown)))
    eventually("both ways go on counting", lambda: grew(first, by_way(ask("query", query=grown))))
    eventually("several pushes", lambda: require(time.time() - began > 12, "waiting"), pause=1)
    counters = [name for name in ask("label/__name__/values") if name.endswith(("_total", "_count", "_bucket"))]
    for name in counters:
        resets = ask("query", query=f'sum(resets({name}[1m]))')["result"]
        require(all(float(one["value"][1]) == 0 for one in resets), f"{name} was reset: {resets}")
    require(COUNT in counters, f"{COUNT} is among {counters}")

    # What the agent's store answers is what it was told: the same counter, at the same time.
    query = f'sum({COUNT}{{job="api-node"}})'
    own = json.loads(get(f"{at['web']}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))["data"]["result"]
    theirs = ask("query", query=f'sum({COUNT}{{job="api-node",way="pushed"}})')["result"]
    own, theirs = (float(result[0]["value"][1]) for result in (own, theirs))
    require(own > 0 and math.isclose(own, theirs, rel_tol=0.5), f"the store says {own}, Prometheus {theirs}")
    print(f"tests/metrics: requests of api-node by the store {own:.0f}, by Prometheus {theirs:.0f}")


def any_trace(web, traces):
    for trace in traces:
        try:
            return get(f"{web}/api/traces/{trace}")
        except OSError:
            continue
    raise AssertionError(f"none of {len(traces)} traces is there")


def by_way(data):
    ways = {one["metric"].get("way"): float(one["value"][1]) for one in data["result"]}
    require({"pulled", "pushed"} <= ways.keys(), f"{ways}")
    return ways


def grew(first, now):
    require(all(now[way] > first[way] for way in first), f"{first}, then {now}")


def push(url):
    """Every kind of point that a service may push, as a sender of deltas would."""
    now = time.time_ns()
    times = {"startTimeUnixNano": str(now - 10**9), "timeUnixNano": str(now)}
    attributes = [{"key": "hostile", "value": {"stringValue": HOSTILE}}]
    point = {**times, "attributes": attributes}
    buckets = {"offset": -3, "bucketCounts": ["1", "0", "2"]}
    metrics = [
        {"name": "pushed.hits", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [{**point, "asInt": "5"}]}},
        {"name": "pushed.queue", "sum": {"aggregationTemporality": 2, "dataPoints": [{**point, "asInt": "-5"}]}},
        {"name": "pushed.load", "unit": "1", "gauge": {"dataPoints": [{**point, "asDouble": 0.5}]}},
        {"name": "pushed.size", "unit": "By", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [
            {**point, "count": "7", "sum": 3.5, "scale": 3, "zeroCount": "1", "positive": buckets, "negative": buckets}]}},
        {"name": "pushed.wait", "unit": "s", "summary": {"dataPoints": [
            {**point, "count": "2", "sum": 3, "quantileValues": [{"quantile": 0.5, "value": 1.5}]}]}},
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "pusher"}}]}
    body = json.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]})
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    eventually("the agent takes metrics", lambda: urllib.request.urlopen(request, timeout=10).read())


def server(scratch, ports):
    job = lambda name, way, port, path="/metrics", honor=False: {
        "job_name": name,
        "metrics_path": path,
        "honor_labels": honor,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"way": way}}],
    }
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            job("api-node", "pulled", ports["api-node-metrics"]),
            job("prometheus-nodejs-exporter", "by its own port", ports["api-node"], "/prometheus/metrics"),
            job("api-python", "pulled", ports["api-python-metrics"]),
            job("pushed", "pushed", ports["prometheus"], honor=True),
            job("agent", "agent", ports["self-metrics"]),
        ],
    }
    # JSON is YAML.
    with open(f"{scratch}/prometheus.yml", "w") as file:
        json.dump(config, file)
    return [
        "prometheus",
        f"--config.file={scratch}/prometheus.yml",
        f"--storage.tsdb.path={scratch}/prometheus",
        f"--web.listen-address=127.0.0.1:{ports['server']}",
        "--enable-feature=exemplar-storage",
    ]


class running:
    """A process; its last lines are shown when something went wrong."""

    def __init__(self, name, command, scratch):
        self.name, self.command = name, command
        self.log = f"{scratch}/{os.path.basename(command[0])}.log"

    def __enter__(self):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __exit__(self, fault, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if fault:
            with open(self.log) as log:
                print(f"--- the last lines of {self.name}", *log.read().splitlines()[-20:], sep="\n", file=sys.stderr)


def eventually(what, attempt, pause=0.2):
    began = time.monotonic()
    while True:
        try:
            return attempt()
        except (AssertionError, OSError, KeyError, IndexError) as fault:
            if time.monotonic() - began > DEADLINE_SECONDS:
                raise AssertionError(f"not so after {DEADLINE_SECONDS} s: {what}: {fault}") from fault
            time.sleep(pause)


def require(holds, told):
    # Not `assert`, which a flag of Python's turns off.
    if not holds:
        raise AssertionError(told)


def get(url, headers={}):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read().decode()


def name_and_labels(sample):
    return sample.name, tuple(sorted(sample.labels.items()))


def without(series, *names):
    return series[0], tuple(label for label in series[1] if label[0] not in names)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    main(sys.argv[1])
