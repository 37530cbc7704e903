"""Applies the overlays to a real Kubernetes node and counts what arrives; see `run`."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BIN = os.environ["BIN"]
OVERLAYS = ["lite", "minikube", "sidecar", "tls", "upstream-collector", "ha"]
DEADLINE_SECONDS = 120
REQUESTS_PER_SECOND = 50
# The span that the load itself would have had.
CALLER = "00f067aa0ba902b7"
# As `node` has them.
MACHINE, NODE_ADDRESS = "10.231.0.1", "10.231.0.2"


class Node:
    """A running node; `tests/cluster/node` says how."""

    def __init__(self, state):
        self.state = state
        self.kubeconfig = f"{state}/admin.conf"

    def up(self):
        run([f"{HERE}/node", "up", self.state])

    def down(self):
        run([f"{HERE}/node", "down", self.state])

    def inside(self, *command):
        return run([f"{HERE}/node", "in", self.state, *command])

    def image(self, reference, entrypoint, user, *files):
        run([f"{HERE}/image", self.state, reference, json.dumps(entrypoint), user, *files])

    def kubectl(self, *arguments, stdin=None, check=True):
        return run([f"{BIN}/kubectl", "--kubeconfig", self.kubeconfig, *arguments], stdin=stdin, check=check)

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, overlay):
        self.kubectl("apply", "-f", "-", stdin=built(overlay))

    def delete(self, overlay):
        self.kubectl("delete", "--ignore-not-found", "--wait=true", "--timeout=90s", "-f", "-", stdin=built(overlay))

    def rolled_out(self, *workloads):
        for workload in workloads:
            self.kubectl("rollout", "status", workload, "--timeout=120s")

    def pod(self, app):
        pods = self.get("pods", "-l", f"app={app}")["items"]
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"]
        require(alive, f"no pod of {app} runs")
        return alive[0]

    @contextlib.contextmanager
    def forwarded(self, what, port, scheme="http"):
        """`kubectl port-forward`, on a port that is free here."""
        command = [f"{BIN}/kubectl", "--kubeconfig", self.kubeconfig, "port-forward", what, f":{port}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            require("Forwarding from 127.0.0.1:" in line, f"port-forward {what}: {line or process.stderr.read()}")
            yield f"{scheme}://localhost:" + line.split("127.0.0.1:")[1].split(" ")[0]
        finally:
            process.terminate()
            process.wait()


class Load:
    """Requests with trace ids that say their number, at a steady rate."""

    def __init__(self, url, run_id):
        self.url, self.prefix = url, f"{run_id:08x}"
        self.sent, self.answered, self.failed = 0, set(), {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def trace_id(self, number):
        return f"{self.prefix}{number:024x}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        began, threads = time.monotonic(), []
        while not self._stop.is_set():
            self.sent += 1
            thread = threading.Thread(target=self._send, args=(self.sent,), daemon=True)
            thread.start()
            threads.append(thread)
            time.sleep(max(0.0, began + self.sent / REQUESTS_PER_SECOND - time.monotonic()))
        for thread in threads:
            thread.join()

    def _send(self, number):
        headers = {"traceparent": f"00-{self.trace_id(number)}-{CALLER}-01"}
        try:
            get(self.url + "/something", headers)
            with self._lock:
                self.answered.add(number)
        except (OSError, urllib.error.URLError) as error:
            with self._lock:
                self.failed[number] = str(error)


def main(archives, parts):
    state = tempfile.mkdtemp(prefix="spanline-node-")
    node = Node(state)
    figures = {}
    began = time.monotonic()
    try:
        node.up()
        figures["node ready"] = seconds(began)
        figures["image sizes"] = images(node, archives)
        for part in parts or list(PARTS):
            require(part in PARTS, f"no part {part!r}; there are: {' '.join(PARTS)}")
            print(f"== {part}", flush=True)
            PARTS[part](node, figures)
    except BaseException:
        print(f"the node's state and logs stay in {state}", file=sys.stderr)
        with contextlib.suppress(Exception):
            print(node.kubectl("get", "pods", "-A", "-o", "wide", check=False), file=sys.stderr)
            print(node.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False)[-4000:], file=sys.stderr)
            print(node.kubectl("logs", "-l", "app=spanline-agent", "--tail=30", check=False), file=sys.stderr)
        raise
    finally:
        node.down()
        figures["all"] = seconds(began)
        print(json.dumps(figures, indent=2))
    shutil.rmtree(state, ignore_errors=True)


def images(node, archives):
    """Our three images, as BuildKit made them of the Dockerfile; and a shell to ask from inside of the cluster."""
    sizes = {}
    for name in ("spanline-agent", "api-node", "api-python"):
        run(["ctr", "-a", f"{node.state}/containerd.sock", "-n", "k8s.io", "images", "import", f"{archives}/{name}.tar"])
        size = os.path.getsize(f"{archives}/{name}.tar") / 1e6
        require(size <= 40, f"the image {name} has {size:.1f} MB")
        sizes[name] = f"{size:.1f} MB"
    busybox = shutil.which("busybox")
    node.image("localhost/busybox:1", ["/bin/busybox"], "65534:65534", f"{busybox}:/bin/busybox")
    return sizes


def dry_run(node, _figures):
    """The server takes every overlay, and knows every field in it."""
    for overlay in OVERLAYS:
        if overlay == "tls":
            run([f"{ROOT}/k8s/overlays/tls/make-secrets"])
        node.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=built(overlay))
        print(f"   {overlay}: taken")


def lite(node, figures):
    """No back ends: everything in the store of the node's agent."""
    began = time.monotonic()
    node.apply("lite")
    node.rolled_out("daemonset/spanline-agent", "deployment/my-python-app", "deployment/my-node-app")
    figures["lite: rolled out"] = seconds(began)
    trace = f"{0xABC:032x}"
    send(node, trace)
    with node.forwarded("daemonset/spanline-agent", 9880) as page:
        linked(node, page, trace)
        figures["lite: from apply to the first linked trace"] = seconds(began)
    led_there(node)
    headless(node)
    figures["lite: disturbed"] = disturb(node)
    figures["lite: agent at rest"] = agent_usage(node)
    node.delete("lite")


def send(node, trace):
    """One request of the trace, once the services' addresses lead to pods."""
    with node.forwarded("service/my-node-app-svc", 3000) as app:
        eventually("the chain answers", lambda: get(app + "/something"))
        get(app + "/something", {"traceparent": f"00-{trace}-{CALLER}-01"})


def linked(node, page, trace):
    """One trace over both services, a line of each that leads to it, and each knows its pod."""

    def look():
        services = {service for service, _ in spans_of(page, trace)}
        require(services == {"api-node", "api-python"}, f"the trace has spans of {services}")
        lines = lines_of(page, "{namespace=\"default\"} |= `" + trace + "`")
        containers = {labels["container"] for labels, _, _ in lines}
        require(containers == {"api-node", "api-python"}, f"lines of {containers}")
        for labels, _, line in lines:
            app = {"api-node": "my-node-app", "api-python": "my-python-app"}[labels["container"]]
            require(labels["pod"] == node.pod(app)["metadata"]["name"], f"{labels} is not the pod of {app}")
            require(labels["namespace"] == "default", f"{labels}")
            require(f"trace_id={trace}" in line, f"{line} does not lead to its trace")

    eventually("a line leads to its trace", look)


def led_there(node):
    """NODE_IP is the node's own address, and the agent's port is there."""
    pod = node.pod("my-node-app")
    env = {var["name"]: var for var in pod["spec"]["containers"][0]["env"]}
    require(env["NODE_IP"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP", "NODE_IP is not from the downward API")
    agent = node.pod("spanline-agent")
    require(pod["status"]["hostIP"] == agent["status"]["hostIP"], "the agent is on another node")
    in_pod(node, f"echo | nc -w 2 {agent['status']['hostIP']} 4317 >/dev/null")


def headless(node):
    """A pod that asks for the headless service's name gets to the metrics of the services' pods."""
    for app in ("my-node-app", "my-python-app"):
        url = f"http://{app}-headless-svc.default.svc.cluster.local:9464/metrics"
        text = in_pod(node, f"wget -q -O - {url}")
        require("http_server_request_duration_seconds_bucket" in text, f"{url} says {text[:200]}")


def in_pod(node, script):
    name = f"ask-{time.monotonic_ns()}"
    arguments = ["run", name, "--image=localhost/busybox:1", "--image-pull-policy=Never", "--restart=Never", "--attach", "--rm", "--quiet"]
    return node.kubectl(*arguments, "--command", "--", "/bin/busybox", "sh", "-c", script)


def disturb(node):
    """At 50 requests a second, one thing after another goes wrong; then every line and every span is counted."""
    disturbances = {
        "nothing": lambda: time.sleep(5),
        "a pod is deleted": lambda: node.kubectl("delete", "pod", node.pod("my-python-app")["metadata"]["name"]),
        "a container ends": lambda: kill_container(node, "my-node-app"),
        "the kubelet rotates": lambda: until_rotated(node),
        "the DaemonSet rolls": lambda: roll(node),
    }
    told = {}
    for number, (name, disturbance) in enumerate(disturbances.items(), 1):
        address = node.get("service", "my-node-app-svc")["spec"]["clusterIP"]
        with Load(f"http://{address}:3000", (int(time.time()) & 0xFFFFFF) << 8 | number) as load:
            time.sleep(3)
            disturbance()
            node.rolled_out("daemonset/spanline-agent", "deployment/my-python-app", "deployment/my-node-app")
            time.sleep(3)
        told[name] = count(node, load)
        print(f"   {name}: {told[name]}", flush=True)
        require(told[name]["lines lost"] == 0, f"{name}: lines were lost")
        require(told[name]["lines doubled"] == 0, f"{name}: lines came twice")
    return told


def kill_container(node, app):
    """SIGKILL from outside: the kubelet starts it again."""
    restarts = node.pod(app)["status"]["containerStatuses"][0]["restartCount"]
    node.inside("pkill", "-9", "-x", "api-node")
    eventually("it is started again", lambda: require(
        node.pod(app)["status"]["containerStatuses"][0]["restartCount"] > restarts, "not yet"))


def until_rotated(node):
    """Waits until the kubelet has gzipped a file of api-node that did not exist before."""
    pods = f"{node.state}/varlog/pods"

    def gzipped():
        return {name for _, _, names in os.walk(pods) for name in names if name.endswith(".gz")}

    before = gzipped()
    eventually("the kubelet has gzipped a file", lambda: require(gzipped() - before, "none yet"))


def roll(node):
    node.kubectl("rollout", "restart", "daemonset/spanline-agent")


def count(node, load):
    """What came of each answered request: a line of each service and its spans, by the trace id that says its number."""
    expected = {load.trace_id(number) for number in load.answered}

    def look():
        with node.forwarded("daemonset/spanline-agent", 9880) as page:
            lines = {"api-node": {}, "api-python": {}}
            for labels, _, line in lines_of(page, "{namespace=\"default\"} |= `trace_id=" + load.prefix + "`"):
                trace = line.split("trace_id=")[1][:32]
                # The request's own line; one that failed has another.
                if "api-python answered" in line or "hello world!" in line:
                    of = lines[labels["container"]]
                    of[trace] = of.get(trace, 0) + 1
            result = {"sent": load.sent, "answered": len(expected)}
            result["lines lost"] = sum(len(expected - set(of)) for of in lines.values())
            result["lines doubled"] = sum(seen - 1 for of in lines.values() for seen in of.values())
            spans = [spans_of(page, trace) for trace in sorted(expected)]
            # A server's span of each, and the client's between them.
            result["spans lost"] = sum(max(0, 3 - len(set(of))) for of in spans)
            result["spans doubled"] = sum(len(of) - len(set(of)) for of in spans)
            return result

    result = look()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (result["lines lost"] or result["spans lost"]) and time.monotonic() < deadline:
        time.sleep(2)
        again = look()
        if again == result:
            break
        result = again
    return result


def agent_usage(node):
    pid = node.inside("pgrep", "-x", "spanline-agent").split()[0]
    status = node.inside("cat", f"/proc/{pid}/status")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
    return f"{int(resident) / 1024:.1f} MiB resident"


def sidecar(node, figures):
    """No DaemonSet: each pod has its agent, and keeps what its own service says."""
    began = time.monotonic()
    node.apply("sidecar")
    node.rolled_out("deployment/my-python-app", "deployment/my-node-app")
    figures["sidecar: rolled out"] = seconds(began)
    trace = f"{0xDEF:032x}"
    send(node, trace)
    for app, service in (("my-node-app", "api-node"), ("my-python-app", "api-python")):
        with node.forwarded(f"pod/{node.pod(app)['metadata']['name']}", 9880) as page:

            def look():
                services = {service for service, _ in spans_of(page, trace)}
                require(services == {service}, f"spans of {services} beside {service}")
                lines = lines_of(page, f'{{service_name="{service}"}} |= `{trace}`')
                require(len(lines) == 1, f"{len(lines)} lines beside {service}")

            eventually(f"the agent beside {service} has its line and its spans", look)
    node.delete("sidecar")


def tls(node, figures):
    """Every hop secured, with certificates that the overlay's script makes."""
    began = time.monotonic()
    run([f"{ROOT}/k8s/overlays/tls/make-secrets"])
    node.apply("tls")
    node.rolled_out("deployment/spanline-gateway", "daemonset/spanline-agent", "deployment/my-python-app", "deployment/my-node-app")
    secrets = f"{ROOT}/k8s/overlays/tls/secrets"
    with open(f"{secrets}/token", encoding="ascii") as file:
        token = {"authorization": f"Bearer {file.read()}"}
    trusting = ssl.create_default_context(cafile=f"{secrets}/ca.crt")
    known = ssl.create_default_context(cafile=f"{secrets}/ca.crt")
    known.load_cert_chain(f"{secrets}/reader/tls.crt", f"{secrets}/reader/tls.key")
    trace = f"{0x7150:032x}"
    send(node, trace)
    with node.forwarded("deployment/spanline-gateway", 9880, "https") as page:
        linked(node, Page(page, token, trusting), trace)
        refused("the page, without its token", lambda: get(f"{page}/api/echo", tls=trusting))
    figures["tls: from apply to the first linked trace"] = seconds(began)
    for app in ("my-node-app", "my-python-app"):
        with node.forwarded(f"pod/{node.pod(app)['metadata']['name']}", 9464, "https") as metrics:
            text = get(f"{metrics}/metrics", token, known)
            require("http_server_request_duration_seconds_bucket" in text, f"{app} says {text[:200]}")
            refused("metrics, without a certificate", lambda: get(f"{metrics}/metrics", token, trusting))
            refused("metrics, without the token", lambda: get(f"{metrics}/metrics", tls=known))
    agent = node.pod("spanline-agent")["status"]["podIP"]
    refused("OTLP, without a certificate", lambda: get(f"https://{agent}:4318/v1/traces", tls=unnamed(trusting)))
    refused("OTLP, in plain text", lambda: get(f"http://{agent}:4318/v1/traces"))
    node.delete("tls")


def refused(what, ask_it):
    """`ask_it` is turned away: by the handshake, or by 401."""
    try:
        ask_it()
    except urllib.error.HTTPError as error:
        require(error.code == 401, f"{what}: {error}")
    except (OSError, http.client.HTTPException):
        pass
    else:
        raise AssertionError(f"{what}: was let in")


def unnamed(context):
    """The same, whatever the server's certificate is for."""
    context.check_hostname = False
    return context


def minikube(node, figures):
    """The seed's set-up: its configuration in our agent, and the real Loki, Tempo and Prometheus."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, back_ends(node, scratch) as (loki, tempo, prometheus):
        node.kubectl("apply", "-f", "-", stdin=json.dumps(external("loki", {"http": 3100})))
        node.kubectl("apply", "-f", "-", stdin=json.dumps(external("tempo", {"otlp": 4317})))
        node.apply("minikube")
        node.rolled_out("daemonset/spanline-agent", "deployment/my-python-app", "deployment/my-node-app")
        trace = f"{0x5EED:032x}"
        send(node, trace)
        # What the seed's data source does: find a line by its labels, take the id out of it, and ask Tempo for the trace.
        labels = '{cluster="minikube", namespace="default", container=~"api-.*"}'

        def look():
            lines = lines_of(loki, labels + " |= `" + trace + "`")
            containers = {found["container"] for found, _, _ in lines}
            require(containers == {"api-node", "api-python"}, f"lines of {containers} in Loki")
            for found, _, line in lines:
                ids = re.search(r"trace_id=(\w+)", line)
                require(ids and ids[1] == trace, f"{line} does not lead to its trace")
                app = {"api-node": "my-node-app", "api-python": "my-python-app"}[found["container"]]
                require(found["pod"] == node.pod(app)["metadata"]["name"], f"{found} is not the pod of {app}")
            services = {service for service, _ in spans_of(tempo, trace)}
            require(services == {"api-node", "api-python"}, f"the trace has spans of {services} in Tempo")

        eventually("a line of Loki leads to its trace in Tempo", look)
        figures["minikube: from apply to the first linked trace"] = seconds(began)

        def scraped():
            query = urllib.parse.urlencode({"query": 'http_server_request_duration_seconds_count{job=~"my-.*-app"}'})
            found = {series["metric"]["job"] for series in ask(prometheus, f"/api/v1/query?{query}")["data"]["result"]}
            require(found == {"my-node-app", "my-python-app"}, f"Prometheus has series of {found}")

        eventually("Prometheus scrapes the pods through the headless services", scraped)
        node.delete("minikube")


@contextlib.contextmanager
def back_ends(node, scratch):
    """Loki, Tempo and Prometheus as processes of the machine, where the node's pods reach them by its address."""
    built_ones = run([f"{ROOT}/tests/backends/build", "loki", "tempo", "prometheus"]).strip()
    with open(f"{ROOT}/tests/backends/config/tempo.yaml", encoding="utf-8") as file:
        tempo_config = file.read()
    for key in ("http_listen_address: ", "endpoint: "):
        tempo_config = tempo_config.replace(f"{key}127.0.0.1", f"{key}{MACHINE}")
    with open(f"{ROOT}/k8s/helm/prometheus-values.yaml", encoding="utf-8") as file:
        # The jobs that need no API server.
        jobs = file.read().split("extraScrapeConfigs: |\n")[1].split("  # The agents'")[0]
    write(f"{scratch}/tempo.yaml", tempo_config)
    write(f"{scratch}/prometheus.yaml", "global: {scrape_interval: 1s}\nscrape_configs:\n" + jobs)
    prometheus = ["--config.file", f"{scratch}/prometheus.yaml", "--storage.tsdb.path", f"{scratch}/prometheus"]
    prometheus += ["--web.listen-address=0.0.0.0:9090", "--enable-feature=exemplar-storage"]
    resolving = f"mount --bind {node.state}/resolv.conf /etc/resolv.conf && exec {built_ones}/prometheus {' '.join(prometheus)}"
    loki = [f"{built_ones}/loki", f"-config.file={ROOT}/docker/loki/loki.yaml", "-config.expand-env=true"]
    tempo = [f"{built_ones}/tempo", f"-config.file={scratch}/tempo.yaml", "-config.expand-env=true"]
    # In the node, whose names it must resolve.
    inside = [f"{HERE}/node", "in", node.state, "unshare", "--mount", "sh", "-c", resolving]
    with (
        running(loki, scratch, {"LOKI_FOLDER": f"{scratch}/loki", "LOKI_HTTP_ADDRESS": MACHINE}),
        running(tempo, scratch, {"TEMPO_FOLDER": f"{scratch}/tempo"}),
        running(inside, scratch, {}),
    ):
        urls = f"http://{MACHINE}:3100", f"http://{MACHINE}:3200", f"http://{NODE_ADDRESS}:9090"
        for url, ready in zip(urls, ("/ready", "/ready", "/-/ready")):
            eventually(f"{url} is ready", lambda url=url, ready=ready: get(url + ready))
        yield urls


@contextlib.contextmanager
def running(command, scratch, variables):
    """A process of the machine; what it said last is shown when something fails."""
    log = f"{scratch}/{os.path.basename(command[0])}-{time.monotonic_ns()}.log"
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **variables}, start_new_session=True)
    try:
        yield
    except BaseException:
        with open(log, encoding="utf-8") as said:
            print(f"{command[0]} said at the end:\n{said.read()[-2000:]}", file=sys.stderr)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def external(name, ports):
    """A service without pods, whose name leads to the machine."""
    listed = [{"name": of, "port": port} for of, port in ports.items()]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": listed}}
    slice_of = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": listed}
    slice_of["metadata"] = {"name": f"{name}-machine", "labels": {"kubernetes.io/service-name": name}}
    slice_of["endpoints"] = [{"addresses": [MACHINE]}]
    return {"apiVersion": "v1", "kind": "List", "items": [service, slice_of]}


PARTS = {"dry-run": dry_run, "lite": lite, "sidecar": sidecar, "tls": tls, "minikube": minikube}

# --- what the agent holds


def lines_of(page, query):
    """All lines of the last hour that `query` finds, as (labels, nanoseconds, line), the oldest first."""
    start, found = time.time_ns() - 3_600_000_000_000, []
    while True:
        parameters = {"query": query, "start": start, "limit": 5000, "direction": "forward"}
        answer = ask(page, f"/loki/api/v1/query_range?{urllib.parse.urlencode(parameters)}")
        page_of = [
            (stream["stream"], int(at), line) for stream in answer["data"]["result"] for at, line, *_ in stream["values"]
        ]
        found += page_of
        if len(page_of) < 5000:
            return sorted(found, key=lambda line: line[1])
        start = max(at for _, at, _ in page_of) + 1


def spans_of(page, trace):
    """The (service, span id) of each span of a trace."""
    try:
        batches = ask(page, f"/api/traces/{trace}")["batches"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return []
        raise
    found = []
    for batch in batches:
        attributes = {pair["key"]: pair["value"].get("stringValue") for pair in batch["resource"]["attributes"]}
        # The second is what Tempo 1.5 calls them.
        for scope in batch.get("scopeSpans") or batch.get("instrumentationLibrarySpans", []):
            found += [(attributes["service.name"], span["spanId"]) for span in scope["spans"]]
    return found


# --- small things


def built(overlay):
    return run([f"{BIN}/kustomize", "build", f"{ROOT}/k8s/overlays/{overlay}"])


def run(command, stdin=None, check=True):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Page(str):
    """Where a read API is, with what it must be shown."""

    def __new__(cls, url, headers, tls):
        page = super().__new__(cls, url)
        page.headers, page.tls = headers, tls
        return page


def ask(page, path):
    """What the read API at `page` answers."""
    return json.loads(get(page + path, getattr(page, "headers", None), getattr(page, "tls", None)))


def get(url, headers=None, tls=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10, context=tls) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        error.msg += f": {error.read(500).decode(errors='replace')}"
        raise


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def require(holds, what):
    if not holds:
        raise AssertionError(what)


def eventually(what, look):
    """Waits until `look` does not complain any more."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            return look()
        except (AssertionError, OSError, KeyError) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {DEADLINE_SECONDS} s: {error}") from error
            time.sleep(0.5)


def seconds(began):
    return f"{time.monotonic() - began:.1f} s"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
