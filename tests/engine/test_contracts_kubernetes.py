"""Every rule about what is rendered for Kubernetes is seen failing, and says the line of the file that is wrong.

To render takes a moment, so what does not disturb each other is broken together, and each rule is looked for in its
own place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from handbook import contracts
from handbook.facts import Fact
from handbook.facts.deployment import Facts
from handbook.facts.workload import Workload
from handbook.findings import HandbookError
from tests.tree import MEASURED, Edit, KubernetesTree

BASE, TRY_OUT, PRODUCTION = (f"snippets/kubernetes/{name}" for name in ("base", "try-out", "production"))
API, WORKER, BEAT = f"{BASE}/api.yaml", f"{BASE}/worker.yaml", f"{BASE}/beat.yaml"
MIGRATIONS, NETWORK, SPACE = f"{BASE}/migrations.yaml", f"{BASE}/network.yaml", f"{BASE}/namespace.yaml"
GATEWAY, SCALER, STORE = (f"{PRODUCTION}/{name}.yaml" for name in ("gateway", "worker", "secrets"))
OUT, OUTSIDE = f"{PRODUCTION}/network.yaml", f"{PRODUCTION}/service.env"
ENV, POLICY = f"{BASE}/service.env", "snippets/kubernetes/policy/workloads.yaml"
POSTGRES, REDIS, PROVIDER = (f"{TRY_OUT}/{name}.yaml" for name in ("postgres", "redis", "provider"))
WAYS, TRY_OUT_FILE = f"{TRY_OUT}/network.yaml", f"{TRY_OUT}/kustomization.yaml"

Place = tuple[str, str, str]
"""A rule, a file, and a text that begins in the line; with a | in it, the line behind that."""

NAME = "metadata:\n  |name: "
CONTAINER = "      containers:\n        |- name: "
BUDGET = "  unhealthyPodEvictionPolicy: AlwaysAllow\n"
GRACE = "      terminationGracePeriodSeconds: "
AT_LIMIT = "            limits:\n              |memory: "
DOCUMENT = "---\napiVersion: v1\nkind: Service\n"
POD = """---
apiVersion: v1
kind: Pod
metadata:
  name: alone
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: alone
      image: redis:8.2.10-bookworm
      resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 16Mi}}
      securityContext:
        {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
"""
SCALED = """---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: more
spec:
  scaleTargetRef:
    name: <target>
  minReplicaCount: 2
  maxReplicaCount: 3
  triggers:
    - type: <trigger>
"""
INGRESS = """---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: to-<name>
spec:
  ingressClassName: <class>
  rules:
    - http:
        paths:
          - backend:
              service:
                name: <name>
                port:
                  number: <port>
"""
CLASS = """---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: way-in
spec:
  controller: k8s.io/ingress-nginx
"""
CHART = "snippets/helm/assistant"
OVERLAYS = ("try-out", "production", "internal-ca", "ingress")
SECRET = "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: written\nstringData:\n  key: value\n"


def put(text: str, **values: str) -> str:
    """A document before the first Service of a file."""
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    return text + DOCUMENT


@dataclass(frozen=True)
class Broken:
    """What is changed, and the findings that it makes."""

    edit: Edit
    found: tuple[Place, ...]


def broken(
    rule: str,
    path: str,
    old: str,
    new: str,
    found: str = "",
    at: tuple[str, str] | None = None,
    also: tuple[Place, ...] = (),
) -> Broken:
    """One edit. Without `found` (in the file) and `at` the finding is expected in the first line that was put in."""
    first = next((line for line in new.splitlines() if line.strip()), "")
    return Broken((path, old, new), ((rule, *(at or (path, found or first))), *also))


def closed(old: str, new: str, *found: str) -> Broken:
    """A way in network.yaml that is closed: it is missed by what stands in these files."""
    return Broken((WAYS, old, new), tuple(("network.allowed", path, NAME) for path in found))


TOGETHER: dict[str, tuple[Broken, ...]] = {
    "labels and ways in": (
        broken(
            "selectors.own",
            API,
            "component: api\n  strategy:",
            "component: apis\n  strategy:",
            "  selector:\n    matchLabels:",
        ),
        broken(
            "selectors.own",
            BEAT,
            "  selector:\n    matchLabels:\n      app.kubernetes.io/name: assistant\n"
            "      app.kubernetes.io/component: beat\n",
            "",
            NAME,
        ),
        broken(
            "selectors.selected",
            WORKER,
            f"{BUDGET}  selector:\n    matchLabels:\n      app.kubernetes.io/name: assistant\n",
            f"{BUDGET}  selector:\n    matchLabels:\n      app.kubernetes.io/name: other\n",
            f"{BUDGET}|  selector:",
        ),
        broken(
            "selectors.selected",
            WORKER,
            "          labelSelector:\n            matchLabels:\n              app.kubernetes.io/name: assistant",
            "          labelSelector:\n            matchLabels:\n              app.kubernetes.io/name: other",
        ),
        broken(
            "selectors.selected",
            WAYS,
            "  name: provider\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/component: provider",
            "  name: provider\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/component: other",
            "  name: provider\nspec:\n|  podSelector:",
            also=(("network.allowed", PROVIDER, NAME),),
        ),
        broken(
            "selectors.selected",
            POSTGRES,
            DOCUMENT,
            put(SCALED, target="nobody", trigger="cron"),
            "    name: nobody",
        ),
        broken(
            "selectors.selected",
            REDIS,
            "  selector:\n    app.kubernetes.io/name: redis\n    app.kubernetes.io/component: cache",
            "  selector:\n    app.kubernetes.io/name: redis\n    app.kubernetes.io/component: other",
            "  selector:\n    app.kubernetes.io/name: redis\n    app.kubernetes.io/component: other",
            also=(("selectors.reached", REDIS, "            - name: redis\n              |containerPort"),),
        ),
        broken("selectors.ports", POSTGRES, "      targetPort: postgres", "      targetPort: sql"),
        broken(
            "edge.inside",
            f"{TRY_OUT}/api.patch.yaml",
            "  type: NodePort",
            "  type: LoadBalancer",
            also=(("selectors.outside", API, NAME),),
        ),
        broken(
            "edge.maintained",
            POSTGRES,
            "kind: Service\nmetadata:\n  name: postgres\n",
            "kind: Service\nmetadata:\n  annotations:\n    nginx.ingress.kubernetes.io/x: y\n  name: postgres\n",
            "    nginx.ingress",
        ),
        broken(
            "edge.maintained",
            PROVIDER,
            DOCUMENT,
            put(INGRESS, **{"class": "nginx", "name": "provider", "port": "9000"}),
            "  ingressClassName: nginx",
            also=(("network.entered", PROVIDER, NAME),),
        ),
        broken(
            "edge.maintained",
            f"{PRODUCTION}/monitoring.yaml",
            "apiVersion: monitoring",
            f"{CLASS}---\napiVersion: monitoring",
            "  controller: k8s.io/ingress-nginx",
        ),
        broken(
            "selectors.backends",
            REDIS,
            DOCUMENT,
            put(INGRESS, **{"class": "other", "name": "cache", "port": "6380"}),
            "                  number: 6380",
        ),
    ),
    "images, jobs and disruption": (
        broken(
            "images.pinned",
            WORKER,
            "image: assistant:1.0.0",
            "image: assistant:latest",
            also=(("images.same", WORKER, "          image:"),),
        ),
        broken(
            "images.pinned",
            PROVIDER,
            "image: assistant-provider:1.0.0",
            "image: assistant-provider",
            also=(("images.same", PROVIDER, "          image:"),),
        ),
        broken("images.pulled", BEAT, "imagePullPolicy: IfNotPresent", "imagePullPolicy: Always"),
        broken("images.same", REDIS, "image: redis:8.2.10-bookworm", "image: redis:8.2.9-bookworm"),
        broken(
            "images.same",
            MIGRATIONS,
            "image: assistant:1.0.0",
            "image: registry.example.com/team/assistant:1.0.1",
        ),
        broken("jobs.ends", MIGRATIONS, "  backoffLimit: 2\n", "", NAME),
        broken("jobs.ends", MIGRATIONS, "restartPolicy: Never", "restartPolicy: Always", "      restartPolicy:"),
        broken("jobs.bare", POSTGRES, DOCUMENT, put(POD), "kind: Pod\nmetadata:\n  |name: alone"),
        broken(
            "disruption.budget", API, "  maxUnavailable: 1\n  # One", "  minAvailable: 2\n  # One", "  minAvailable"
        ),
        broken("disruption.spread", API, "      topologySpreadConstraints:", "      spread:", NAME),
        broken(
            "disruption.budget",
            WORKER,
            "spec:\n  maxUnavailable: 1\n",
            "spec:\n  minAvailable: 50%\n",
            "  minAvailable: 50%",
        ),
        broken("refuses", POLICY, "    - Deny", "    - Warn", "  validationActions:"),
    ),
    "scaling and network": (
        broken(
            "scaling.owned", API, "spec:\n  # No `replicas`", "spec:\n  replicas: 3\n  # No `replicas`", "  replicas"
        ),
        broken("scaling.calm", API, "        name: cpu\n", "        name: memory\n", "        name: memory"),
        broken(
            "scaling.calm",
            API,
            "  behavior:",
            "  behaviour:",
            "kind: HorizontalPodAutoscaler\nmetadata:\n  |name",
        ),
        broken(
            "scaling.one",
            POSTGRES,
            DOCUMENT,
            put(SCALED, target="api", trigger="memory"),
            "kind: ScaledObject\nmetadata:\n  |name: more",
            also=(("scaling.calm", POSTGRES, "    |- type: memory"),),
        ),
        closed(
            "              app.kubernetes.io/component: provider\n      ports:\n        - port: 9000\n",
            "              app.kubernetes.io/component: provider\n      ports:\n        - port: 9001\n",
            API,
        ),
        closed(
            "values: [api, worker, migrations]\n      ports:\n        - port: 5432",
            "values: [api, worker, migrations]\n      ports:\n        - port: 5433",
            POSTGRES,
        ),
        broken("refuses", POLICY, "policyName: workloads", "policyName: other", NAME),
    ),
    "CPU, stop and names": (
        broken(
            "scaling.asked",
            API,
            "              cpu: 250m\n",
            "",
            CONTAINER,
            also=(("resources.asked", API, CONTAINER),),
        ),
        broken(
            "scaling.calm",
            API,
            "  minReplicas: 2",
            "  minReplicas: 1",
        ),
        broken("stop.drains", API, f"{GRACE}90", f"{GRACE}75"),
        broken("stop.jobs", WORKER, f"{GRACE}40", f"{GRACE}30"),
        broken(
            "connections.fit", POSTGRES, "--max_connections=120", "--max_connections=90", "            - --max_conn"
        ),
        Broken(
            (NETWORK, "        - port: 53\n          protocol: UDP\n", ""),
            tuple(("network.names", path, NAME) for path in (API, WORKER, BEAT, MIGRATIONS)),
        ),
    ),
    "probes": (
        broken("probes.apart", API, "path: /health/live", "path: /health/deep"),
        broken(
            "probes.patient",
            API,
            "            periodSeconds: 10\n            timeoutSeconds: 5\n",
            "            periodSeconds: 10\n            timeoutSeconds: 2\n",
            "            periodSeconds: 10\n            |timeoutSeconds: 2",
        ),
        broken(
            "probes.patient",
            BEAT,
            "            periodSeconds: 60\n            timeoutSeconds: 5\n",
            "            periodSeconds: 60\n            timeoutSeconds: 61\n",
            "            timeoutSeconds: 61",
        ),
        broken("probes.start", API, "            failureThreshold: 60", "            failureThreshold: 6"),
        broken("probes.start", BEAT, "          startupProbe:", "          startup:", "          livenessProbe:"),
        Broken(
            (WORKER, "            - worker\n", "            - inspect\n"),
            tuple(("stop.jobs", f"snippets/kubernetes/{name}/kustomization.yaml", "# ") for name in OVERLAYS),
        ),
        broken("probes.present", REDIS, "          readinessProbe:", "          readiness:", CONTAINER),
        broken(
            "probes.paths",
            API,
            "          startupProbe:\n            httpGet:\n              path: /health/ready",
            "          startupProbe:\n            httpGet:\n              path: /health/steady",
            "              path: /health/steady",
        ),
        Broken(
            (NETWORK, "    - Ingress\n    - Egress\n", "    - Ingress\n"),
            (("network.denied", NETWORK, NAME),),
        ),
    ),
    "probes that ask the same, and no budget": (
        broken("probes.present", API, "          livenessProbe:", "          liveness:", CONTAINER),
        broken(
            "probes.apart",
            API,
            "          readinessProbe:\n            httpGet:\n              path: /health/ready\n"
            "              port: http",
            "          readinessProbe:\n            httpGet:\n              path: /health/live\n"
            "              port: web",
            "          readinessProbe:\n            httpGet:\n              |path",
            also=(("probes.paths", API, "              port: web"),),
        ),
        broken("stop.drains", API, "          lifecycle:", "          lifecycles:", CONTAINER),
        broken("disruption.budget", API, "kind: PodDisruptionBudget", "kind: Budget", NAME),
    ),
    "resources, and ports of production": (
        broken("resources.asked", WORKER, "              cpu: 250m\n", "", CONTAINER),
        broken("resources.asked", MIGRATIONS, "            limits:\n              memory: 128Mi\n", "", CONTAINER),
        broken(
            "resources.asked",
            BEAT,
            "              memory: 160Mi\n            limits:",
            "              memory: 170Mi\n            limits:",
        ),
        Broken(
            (MEASURED, '"worker": 1048576', f'"worker": {320 * 2**20}'),
            (
                ("resources.enough", WORKER, f"{AT_LIMIT}320Mi"),
                ("resources.enough", f"{CHART}/templates/worker.yaml", "# The reasons"),
            ),
        ),
        Broken(
            (MEASURED, '"service": 1048576', f'"service": {384 * 2**20}'),
            (
                ("resources.enough", API, "              memory: 384Mi\n          securityContext"),
                ("resources.enough", f"{CHART}/templates/api.yaml", "# The reasons"),
            ),
        ),
        Broken((MEASURED, '"cache": 1048576', f'"cache": {192 * 2**20}'), (("resources.enough", REDIS, AT_LIMIT),)),
        broken(
            "resources.processes",
            ENV,
            "WEB_CONCURRENCY=1",
            "WEB_CONCURRENCY=2",
            also=(("connections.fit", POSTGRES, "            - --max_connections"),),
        ),
        broken(
            "selectors.selected",
            f"{PRODUCTION}/monitoring.yaml",
            "    - port: http",
            "    - port: metrics",
            "    - |port: metrics",
        ),
        broken(
            "selectors.backends",
            GATEWAY,
            "request: 65s\n      backendRefs:\n        - name: api\n          port: 80",
            "request: 65s\n      backendRefs:\n        - name: api\n          port: 81",
            "          port: 81",
        ),
        broken(
            "network.entered",
            f"{PRODUCTION}/network.patch.yaml",
            "      ports:\n        - port: 8000",
            "      ports:\n        - port: 8001",
            at=(API, NAME),
        ),
    ),
    "secrets and security": (
        broken("secrets.values", PROVIDER, DOCUMENT, put(SECRET), "  key: value"),
        broken(
            "secrets.values",
            TRY_OUT_FILE,
            "      - secrets/provider_api_key\n",
            "      - secrets/provider_api_key\n    literals:\n      - more=word\n",
            "  - name: assistant",
        ),
        broken("secrets.plain", ENV, "LOG_LEVEL=info", "API_KEYS=someone:0\nLOG_LEVEL=info"),
        broken("secrets.read", ENV, "LOG_FORMAT=json", "LOG_FORMT=json"),
        broken("secrets.keys", WORKER, "- key: cache_password", "- key: cache_passwort"),
        broken("secrets.keys", MIGRATIONS, "secretName: assistant", "secretName: assistants"),
        broken(
            "secrets.keys",
            POSTGRES,
            "            name: postgres\n            # 0555",
            "            name: postgre\n            # 0555",
        ),
        broken(
            "secrets.mounted",
            BEAT,
            "              - key: broker_password\n                path: broker_password\n",
            "",
            NAME,
            also=(("secrets.redis", ENV, "BROKER_URL"),),
        ),
        broken("secrets.redis", ENV, "CACHE_URL=redis://cache", "CACHE_URL=redis://:word@cache"),
        broken(
            "secrets.read",
            POSTGRES,
            "- name: POSTGRES_INITDB_ARGS",
            "- name: POSTGRES_INIT_ARGS",
            "- name: POSTGRES_INIT_ARGS\n              |value",
        ),
        broken("security.restricted", WORKER, "runAsNonRoot: true", "runAsNonRoot: false", "        runAsNonRoot"),
        broken("security.restricted", API, "runAsUser: 10001", "runAsUser: 0", "        runAsUser: 0"),
        broken(
            "security.restricted",
            BEAT,
            "allowPrivilegeEscalation: false",
            "allowPrivilegeEscalation: true",
            "            allowPriv",
        ),
        broken(
            "security.restricted",
            REDIS,
            "            capabilities:\n              drop:\n                - ALL\n",
            "",
            CONTAINER,
        ),
        broken("security.restricted", PROVIDER, "type: RuntimeDefault", "type: Unconfined"),
        broken("security.restricted", MIGRATIONS, "            readOnlyRootFilesystem: true\n", "", CONTAINER),
        broken(
            "security.restricted",
            MIGRATIONS,
            "      enableServiceLinks: false\n",
            "      hostNetwork: true\n",
        ),
        broken(
            "security.restricted",
            POSTGRES,
            "          emptyDir:\n            medium: Memory\n            sizeLimit: 256Mi\n",
            "          hostPath:\n            path: /dev/shm\n",
            "        - name: shm\n          hostPath",
        ),
        broken(
            "security.restricted",
            WORKER,
            "            allowPrivilegeEscalation: false\n",
            "            allowPrivilegeEscalation: false\n            privileged: true\n",
            "            privileged",
        ),
        broken(
            "security.restricted",
            BEAT,
            "              drop:\n",
            "              add:\n                - SYS_TIME\n              drop:\n",
            "                - SYS_TIME",
        ),
        broken("security.restricted", SPACE, "enforce: restricted", "enforce: baseline"),
        broken(
            "security.token",
            MIGRATIONS,
            "automountServiceAccountToken: false",
            "automountServiceAccountToken: true",
            "      automount",
        ),
        broken("security.token", POSTGRES, "      automountServiceAccountToken: false\n", "", NAME),
    ),
    "production": (
        broken(
            "selectors.backends",
            GATEWAY,
            "request: 65s\n      backendRefs:\n        - name: api",
            "request: 65s\n      backendRefs:\n        - name: apis",
            "        - name: apis",
            also=(("selectors.outside", API, NAME),),
        ),
        broken(
            "selectors.backends",
            GATEWAY,
            "request: 25s\n      backendRefs:\n        - name: api",
            "request: 25s\n      backendRefs:\n        - name: other",
            "        - name: other",
        ),
        broken(
            "selectors.selected",
            f"{PRODUCTION}/monitoring.yaml",
            "      app.kubernetes.io/component: api",
            "      app.kubernetes.io/component: other",
            "  selector:",
        ),
        broken("scaling.queue", SCALER, "address: broker.example.com:6379", "address: cache.example.com:6379"),
        broken("scaling.queue", SCALER, 'enableTLS: "true"', 'enableTLS: "false"'),
        broken("scaling.queue", SCALER, 'databaseIndex: "0"', 'databaseIndex: "1"'),
        broken("secrets.keys", SCALER, "      key: broker_password", "      key: queue_password"),
        broken("secrets.keys", GATEWAY, "            name: api-tls", "            name: tls"),
        broken(
            "secrets.keys",
            STORE,
            "    - secretKey: provider_api_key",
            "    - secretKey: provider_key",
            at=(API, "              - key: provider_api_key"),
        ),
        Broken((OUT, "        - port: 443\n", "        - port: 80\n"), (("network.allowed", API, NAME),)),
        broken("secrets.read", OUTSIDE, "PROVIDER_MODEL=", "PROVIDER_MODELL=", "PROVIDER_MODELL"),
        broken(
            "images.pinned",
            f"{PRODUCTION}/kustomization.yaml",
            "    newTag: 1.0.0",
            "    newTag: latest",
            also=(("images.same", f"{PRODUCTION}/kustomization.yaml", "    newTag: latest"),),
        ),
        broken(
            "secrets.keys",
            "snippets/kubernetes/ingress/ingress.yaml",
            "      secretName: api-tls",
            "      secretName: tls",
        ),
        broken(
            "secrets.keys",
            "snippets/kubernetes/internal-ca/issuer.patch.yaml",
            "      secretName: internal-ca",
            "      secretName: ca",
        ),
    ),
}


def full(rule: str) -> str:
    """The name of a contract: those about the whole stand in the module `kubernetes`, others in `kubernetes_...`."""
    return f"kubernetes_{rule}" if "." in rule else f"kubernetes.{rule}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> KubernetesTree:
    return KubernetesTree(tmp_path_factory.mktemp("kubernetes"))


@pytest.fixture
def tree(whole: KubernetesTree) -> Iterator[KubernetesTree]:
    yield whole
    whole.mend()


@pytest.mark.parametrize("name", TOGETHER)
def test_it_is_found_where_it_stands(name: str, tree: KubernetesTree) -> None:
    for case in TOGETHER[name]:
        tree.edit(*case.edit)
    expected = {(full(rule), path, tree.line(path, text)) for case in TOGETHER[name] for rule, path, text in case.found}
    found = tree.new_findings()
    said = "\n".join(map(str, found))
    assert {(finding.rule, finding.path, finding.line) for finding in found} == expected, said


def test_a_chart_is_judged_by_what_it_renders_with_its_own_values(tree: KubernetesTree) -> None:
    tree.edit(f"{CHART}/templates/_helpers.tpl", "runAsUser: 10001", "runAsUser: 0")
    tree.edit(f"{CHART}/values.yaml", "PROVIDER_MODEL:", "PROVIDER_MODELL:")
    tree.edit(f"{CHART}/values.schema.json", '"PROVIDER_MODEL":', '"PROVIDER_MODELL":')
    found = {(finding.rule, finding.path, finding.line) for finding in tree.new_findings()}
    pods = ("api", "worker", "beat", "migrations")
    assert found == {
        *(("kubernetes_security.restricted", f"{CHART}/templates/{name}.yaml", 1) for name in pods),
        *(("kubernetes_secrets.read", f"{CHART}/templates/{name}.yaml", 1) for name in ("settings", "migrations")),
    }


def rules() -> set[str]:
    return {name for name in contracts.names() if name.startswith("kubernetes")}


def test_every_rule_is_seen_failing() -> None:
    assert {full(rule) for cases in TOGETHER.values() for case in cases for rule, _, _ in case.found} == rules()


def test_the_rules_say_so_when_nothing_is_rendered() -> None:
    nothing = Facts([], frozenset(), (), set(), set(), {})
    found = [finding for name in rules() for finding in contracts.load()[name](nothing)]
    assert {finding.rule for finding in found} == rules()
    assert all("nothing is judged" in finding.message for finding in found)


def test_the_rules_say_so_when_nothing_here_is_known_elsewhere(tree: KubernetesTree) -> None:
    facts = tree.facts()
    at = Fact("other", "snippets/other.yaml", 1)
    for overlay in facts.overlays:
        overlay.others, overlay.peaks = [Workload(at, image=at.having("other:1"))], {"other": at.having(1)}
    for name in ("kubernetes_images.same", "kubernetes_resources.enough"):
        found = contracts.load()[name](facts)
        assert {finding.path for finding in found} == {
            *(f"snippets/kubernetes/{overlay}/kustomization.yaml" for overlay in OVERLAYS),
            f"{CHART}/Chart.yaml",
        }
        assert all("nothing is judged" in finding.message for finding in found)


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (WORKER, "memory: 320Mi", "memory: lots", r"worker.yaml:\d+: 'lots' is not a size like 512Mi"),
        (API, "maxReplicas: 4", "maxReplicas: some", r"api.yaml:\d+: 'some' is not a whole number"),
        (TRY_OUT_FILE, "  - redis.yaml", "  - rediss.yaml", "try-out/kustomization.yaml: it can't be built: "),
    ],
)
def test_what_cannot_be_read_is_an_error(path: str, old: str, new: str, message: str, tree: KubernetesTree) -> None:
    tree.edit(path, old, new)
    with pytest.raises(HandbookError, match=message):
        tree.new_findings()
