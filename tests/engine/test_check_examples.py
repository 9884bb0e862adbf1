"""The checks that need nothing: what they say of files that are wrong on purpose."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from handbook import tools
from handbook.checks import load
from tests.verdicts import Example, Verdicts, believes_no_silence, judge_example, lacking, numbered, write

WORKFLOW = """\
name: test
on: push
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - run: echo {}
"""
NGINX = "events {{}}\nhttp {{\n  server_tokens off;\n  server {{\n    listen 80;\n{}\n  }}\n}}\n"
COMPOSE = """\
services:
  nginx:
    image: nginx:1.30.6
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - type: bind
        source: ./parts
        target: /etc/nginx/shared
"""
WHOLE_FOLDER = "services: {nginx: {image: 'nginx:1.30.6', volumes: [./conf:/etc/nginx, ./parts:/etc/parts]}}\n"
INCLUDING = NGINX.format("    include shared/*.conf;")
SCHEMA = '{{\n  "$schema": "https://json-schema.org/draft/2020-12/schema",\n  {}\n}}\n'
PYPROJECT = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\n'
SUPPORT = """\
a:
  "1":
    until: {}
    source: https://a.example/support
    looked_up: 2026-01-02
    note: Some time.
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: 2
  selector:
    matchLabels:
      app: api
  template:
    metadata:
      labels:
        app: api
    spec:
      containers:
        - name: api
          image: api:1
          ports:
            - containerPort: 8000
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: api
spec:
  ports:
    - port: 80
      targetPort: http
"""
ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: api
spec:
  parentRefs:
    - name: gateway
  hostnames:
    - api.example.com
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /
      backendRefs:
        - name: api
          port: 80
"""
SCALED = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: worker
spec:
  scaleTargetRef:
    name: worker
  triggers:
    - type: redis
      metadata:
        listLength: "10"
"""
SCALER = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: api
spec:
  maxReplicas: 4
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: api
"""
CONFIGURED = """\
apiVersion: monitoring.coreos.com/v1alpha1
kind: AlertmanagerConfig
metadata:
  name: a
spec:
  inhibitRules:
    - sourceMatch:
        - name: severity
          value: page
          matchType: =
"""
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - api.yaml\n"
PATCHED = KUSTOMIZATION + "patches:\n  - path: api.patch.yaml\n"
TARGETED = KUSTOMIZATION + "patches:\n  - target:\n      kind: Deployment\n      name: {}\n    path: api.patch.yaml\n"
PATCH = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {}\nspec:\n  {}\n"
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
HASH = "sha256:" + "0" * 64
CHART = "apiVersion: v2\nname: c\nversion: 1.0.0\n"
TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
data:
  a: {{ quote .Values.a }}
"""
WHOLE_CHART = {
    "Chart.yaml": CHART,
    "values.yaml": "a: b\n",
    "values.schema.json": SCHEMA.format('"properties": {"a": {"type": "string"}}, "additionalProperties": false'),
    "templates/a.yaml": TEMPLATE,
}
BESIDE = {f"c/{name}": text for name, text in WHOLE_CHART.items()}

EXAMPLES: dict[str, list[Example]] = {
    "yamllint": [
        Example("good.yaml", "a:\n  - b: true\n"),
        Example("twice.yaml", "a: 1\na: 2\n", "key-duplicates", 2),
        Example("truth.yaml", "a: yes\n", "truthy", 1),
        Example("octal.yaml", "mode: 0644\n", "octal-values", 1),
        Example("indentation.yaml", "a:\n   b: 1\n", "indentation", 2),
        Example("tab.yaml", "a:\n\tb: 1\n", "syntax", 2),
        Example("spaces.yaml", "a: 1  \n", "trailing-spaces", 1),
        Example("long.yaml", f"a: {'word ' * 30}end\n", "line-length", 1),
    ],
    "compose_schema": [
        Example("compose.yaml", "services:\n  a:\n    image: x\n"),
        Example("compose.yaml", "services:\n  a:\n    image: x\n    prots: []\n", "schema", 4),
        Example("compose.yaml", "services:\n  a:\n    image: x\n    healthcheck:\n      retries: []\n", "schema", 5),
        Example("compose.yaml", "services:\n  a:\n    image: x\nversion: '3'\n", "version", 4),
        Example("compose.yaml", "services: [\n", "syntax", 0),
    ],
    "hadolint": [
        Example("Dockerfile", 'FROM a:1\nUSER 1:1\nCMD ["a"]\n'),
        Example("Dockerfile", 'FROM a:1\nUSER 1:1\nHEALTHCHECK --interval=9s --start-interval=1s CMD ["a"]\n'),
        Example(
            "Dockerfile", "FROM a:1\nHEALTHCHECK --start-interval=1s \\\n  CMD cd /tmp && ls\nUSER root\n", "DL3002", 4
        ),
        Example("Dockerfile", "FROM a:latest\n", "DL3007", 1),
        Example("Dockerfile", "FROM a:1\nRUN cd /tmp && ls\n", "DL3003", 2),
        Example("Dockerfile", "FROM a:1\nUSER root\n", "DL3002", 2),
        Example("Dockerfile", 'FROM a:1\nRUN echo $A; [ $A = "b" ]\n', "SC2086", 2),
        Example("Dockerfile", "FRM a:1\n", "DL1000", 1),
    ],
    "gixy": [
        Example("nginx.conf", NGINX.format('    server_name a;\n    return 200 "a";')),
        Example("nginx.conf", NGINX.format("    location / {\n      proxy_pass http://$arg_a;\n    }"), "ssrf", 7),
        Example("nginx.conf", NGINX.format("    return 301 http://a$uri;"), "http_splitting", 6),
        Example("nginx.conf", NGINX.format("    location /a {\n      alias /b/;\n    }"), "alias_traversal", 7),
        Example(
            "nginx.conf",
            NGINX.format("    location / {\n      proxy_set_header Host $http_host;\n    }"),
            "host_spoofing",
            7,
        ),
        Example(
            "nginx.conf",
            NGINX.format("    add_header A a;\n    location / {\n      add_header B b;\n    }"),
            "add_header_redefinition",
            6,
        ),
        # gixy alone says nothing of these: it stops reading.
        Example("nginx.conf", "events {}\nhttp {\n  server {\n", "syntax", 3),
        Example("nginx.conf", NGINX.format("    return 200"), "syntax", 6),
        # What is included counts as it is mounted, and is named by its own path.
        Example(
            "parts/bad.conf",
            "return 301 http://a$uri;\n",
            "http_splitting",
            1,
            beside={"compose.yaml": COMPOSE, "nginx.conf": NGINX.format("    include shared/bad.conf;")},
        ),
        Example("part.conf", "proxy_set_header Host $host;\n"),
        # A host has the shared files where no stack mounts them.
        Example(
            "host/nginx/nginx.conf",
            NGINX.format("    include ../nginx-shared/part.conf;"),
            beside={"compose.yaml": "services: {a: {image: 'nginx:1'}}\n", "../nginx/part.conf": "etag on;\n"},
        ),
        Example(
            "conf/nginx.conf",
            NGINX.format("    return 301 http://a$uri;"),
            "http_splitting",
            6,
            beside={"compose.yaml": WHOLE_FOLDER},
        ),
        # What it includes may lie beside its folder.
        Example(
            "parts/bad.conf",
            "return 301 http://a$uri;\n",
            "http_splitting",
            1,
            beside={"compose.yaml": WHOLE_FOLDER, "conf/nginx.conf": NGINX.format("    include ../parts/bad.conf;")},
        ),
        # Beside one that can't be parsed nothing is judged, so nothing passes.
        Example(
            "nginx.conf", INCLUDING, "unjudged", 0, beside={"compose.yaml": COMPOSE, "parts/bad.conf": "server {\n"}
        ),
    ],
    "ruff": [
        Example("good.py", "import os\n\nprint(os.name)\n"),
        Example("unused.py", "import os\n", "F401", 1),
        Example("unknown.py", "print(name)\n", "F821", 1),
        Example("old.py", "from typing import List\n\na: List[int] = []\n", "UP035", 1),
        Example("order.py", "import sys\nimport os\n\nprint(os, sys)\n", "I001", 1),
        Example("trap.py", "def f(a=[]):\n    return a\n", "B006", 1),
        Example("layout.py", "a = 1\nb  =  2\n", "format", 2),
        Example("syntax.py", "def f(:\n", "invalid-syntax", 1),
    ],
    "pyrefly": [
        Example("good.py", "import pytest\n\na: str = pytest.__name__\n"),
        Example("wrong.py", 'a = 1\nb: int = "a"\n', "bad-assignment", 2),
        Example("absent.py", "import absent_module\n", "missing-import", 1),
        Example("argument.py", 'def f(a: int) -> None: ...\n\n\nf("a")\n', "bad-argument-type", 4),
        Example("attribute.py", "a = 1\na.b\n", "missing-attribute", 2),
        Example("syntax.py", "def f(:\n", "parse-error", 1),
        # A project of its own: its modules import one another, and its Python counts.
        Example("b.py", "from a import x\n\ny: int = x\n", beside={"a.py": "x = 1\n", "pyproject.toml": PYPROJECT}),
        Example("old.py", "type A = int\n", "invalid-syntax", 1, beside={"pyproject.toml": PYPROJECT}),
    ],
    "shellcheck": [
        Example("good.sh", '#!/usr/bin/env bash\nset -euo pipefail\necho "$HOME"\n'),
        Example("quote.sh", "#!/bin/sh\nls $1\n", "SC2086", 2),
        Example("cd.sh", "#!/bin/sh\ncd /tmp\n", "SC2164", 2),
        Example("unset.sh", '#!/bin/sh\necho "$nothing"\n', "SC2154", 2),
        Example("shell.sh", "echo\n", "SC2148", 1),
        Example("syntax.sh", "#!/bin/sh\nif true; then\n", "SC1073", 2),
    ],
    "shfmt": [
        Example("good.sh", "if true; then\n  echo\nfi\ncase $1 in\n  a) ;;\nesac\n"),
        Example("indentation.sh", "echo\nif true; then\n      echo\nfi\n", "format", 3),
        Example("syntax.sh", "echo\nif true; then\n", "syntax", 2),
    ],
    "requirements": [
        Example("requirements.txt", f"# why\na==1.0 ; python_version >= '3' \\\n    --hash={HASH}\n    # via b\n"),
        Example("requirements.txt", f"a==1.0 --hash={HASH}\nb>=1 --hash={HASH}\n", "pin", 2),
        Example("requirements.txt", f"a==1.* --hash={HASH}\n", "pin", 1),
        Example("requirements.txt", "a==1.0\n", "hash", 1),
        Example("requirements.txt", "a==1.0 \\\n    --hash=md5:0\n", "hash", 1),
        Example("requirements.txt", "--index-url https://example.com/simple\n", "option", 1),
        Example("requirements.txt", f"a @ https://example.com/a.whl --hash={HASH}\n", "address", 1),
        Example("requirements.txt", "a=1\n", "syntax", 1),
    ],
    "toml": [
        Example("good.toml", "[a]\nb = 1\n"),
        Example("pyproject.toml", PYPROJECT),
        Example("bad.toml", "[a]\nb = \n", "syntax", 2),
        Example("twice.toml", "a = 1\na = 2\n", "syntax", 2),
        Example("pyproject.toml", f'{PYPROJECT}licence = "MIT"\n', "pyproject", 5),
        Example("pyproject.toml", f'{PYPROJECT}classifiers = ["No :: Such"]\n', "pyproject", 5),
    ],
    "json": [
        Example("good.json", '{"a": [1]}\n'),
        Example("colon.json", '{\n  "a" 1\n}\n', "syntax", 2),
        Example("twice.json", '{"a": 1, "a": 2}\n', "duplicate-key", 0),
        Example("empty.json", "", "syntax", 1),
    ],
    "support": [
        Example("support.yaml", SUPPORT.format("2030-01-01")),
        Example("support.yaml", SUPPORT.format("null") + SUPPORT.format("2030-01-01").replace("a:", "b:", 1)),
        Example("no-note.yaml", SUPPORT.format("2030-01-01").replace("    note: Some time.\n", "")),
        Example("day.yaml", SUPPORT.format("20300101"), "until", 3),
        Example("no-day.yaml", SUPPORT.format("2030-02-30"), "until", 3),
        Example("false.yaml", SUPPORT.format("false"), "until", 3),
        Example("until.yaml", SUPPORT.replace("    until: {}\n", ""), "until", 2),
        Example("silent.yaml", SUPPORT.format("null").replace("Some time.", '""'), "note", 6),
        Example("mute.yaml", SUPPORT.format("null").replace("    note: Some time.\n", ""), "note", 2),
        Example("note.yaml", SUPPORT.format("2030-01-01").replace("Some time.", "[a]"), "note", 6),
        Example("address.yaml", SUPPORT.format("null").replace("https:", "http:"), "source", 4),
        Example("source.yaml", SUPPORT.format("null").replace("    source", "    sauce"), "source", 2),
        Example("field.yaml", SUPPORT.format("null").replace("    source", "    sauce"), "sauce", 4),
        Example("looked-up.yaml", SUPPORT.format("null").replace("2026-01-02", "soon"), "looked_up", 5),
        Example("cycle.yaml", 'a:\n  "1": 2030-01-01\n', "shape", 2),
        Example("product.yaml", "a:\nb: []\n", "shape", 1),
        Example("list.yaml", "- a\n", "shape", 1),
        Example("empty.yaml", "", "shape", 1),
        Example("syntax.yaml", "a: 1\nb\nc: 1\n", "syntax", 3),
        Example("binary.yaml", "a: \0\n", "syntax", 0),
    ],
    "metaschema": [
        Example("good.schema.json", SCHEMA.format('"type": "object", "required": ["a"]')),
        Example("type.schema.json", SCHEMA.format('"properties": {\n    "a": {"type": "strin"}}'), "schema", 4),
        Example("required.schema.json", SCHEMA.format('"required": "a"'), "schema", 3),
        Example("pattern.schema.json", SCHEMA.format('"pattern": "("'), "schema", 3),
        Example("draft.schema.json", '{"type": "object"}\n', "draft", 1),
        Example("syntax.schema.json", SCHEMA.format('"type"'), "syntax", 0),
    ],
    "github_schema": [
        Example("good.yml", WORKFLOW.format("a")),
        Example("key.yml", WORKFLOW.format("a") + "        shel: bash\n", "schema", 9),
        Example("top.yml", WORKFLOW.format("a") + "jbs: {}\n", "schema", 9),
        Example("timeout.yml", WORKFLOW.format("a").replace("    timeout-minutes: 5\n", ""), "schema", 4),
    ],
    "actionlint": [
        Example("good.yml", WORKFLOW.format("${{ github.sha }}")),
        Example("context.yml", WORKFLOW.format("${{ github.no_such }}"), "expression", 8),
        Example("injection.yml", WORKFLOW.format("${{ github.event.pull_request.title }}"), "expression", 8),
        Example("needs.yml", WORKFLOW.format("a") + "    needs: nobody\n", "job-needs", 4),
        Example("event.yml", WORKFLOW.format("a").replace("push", "psh"), "events", 2),
        Example("runner.yml", WORKFLOW.format("a").replace("24.04", "24.40"), "runner-label", 5),
        Example("action.yml", WORKFLOW.format("a") + "      - uses: actions/checkout\n", "action", 9),
        Example("shell.yml", WORKFLOW.format("a") + "        shell: bsh\n", "shell-name", 9),
        Example("output.yml", WORKFLOW.format("'::set-output name=a::b'"), "deprecated-commands", 8),
        # It falls over, and then still has to judge the next one.
        Example("syntax.yml", "on: [\n", "crash", 0),
        Example("after.yml", WORKFLOW.format("${{ steps.no.outputs.a }}"), "expression", 8),
    ],
    "gitlab_schema": [
        Example("good.yml", "a:\n  script:\n    - echo\n    - !reference [.b, script]\n"),
        Example("when.yml", "a:\n  script: [echo]\n  when: sometimes\n", "schema", 3),
        Example("key.yml", "a:\n  script: [echo]\n  artefacts: {}\n", "schema", 3),
    ],
    "kubeconform": [
        Example("good.yaml", DEPLOYMENT + "---\n# Nothing but words.\n---\n" + SERVICE),
        Example(
            "list.yaml",
            "apiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n",
        ),
        Example("route.yaml", ROUTE),
        Example("scaled.yaml", SCALED),
        Example("scaler.yaml", SCALER),
        Example("field.yaml", SERVICE + "---\n" + DEPLOYMENT.replace("replicas", "replica"), "schema", 15),
        Example("quoted.yaml", DEPLOYMENT.replace("8000", '"8000"'), "schema", 19),
        Example("port.yaml", SERVICE.replace("80", '"80"'), "schema", 7),
        Example("choice.yaml", SERVICE.replace("http", "true"), "schema", 8),
        Example(
            "selector.yaml", DEPLOYMENT.replace("  selector:\n    matchLabels:\n      app: api\n", ""), "schema", 5
        ),
        Example("kind.yaml", DEPLOYMENT.replace("Deployment", "Deploymnet"), "unknown", 1),
        Example("removed.yaml", SCALER.replace("autoscaling/v2", "autoscaling/v2beta2"), "unknown", 1),
        Example("version.yaml", ROUTE.replace("io/v1", "io/v1alpha2"), "unknown", 1),
        Example("added.yaml", ROUTE.replace("hostnames:", "hostname:"), "schema", 8),
        Example("value.yaml", ROUTE.replace("PathPrefix", "Prefix"), "schema", 13),
        Example("needed.yaml", SCALED.replace("    - type: redis\n      metadata:", "    - metadata:"), "schema", 9),
        Example("twice.yaml", SERVICE + "spec: {}\n", "syntax", 2),
        Example("anonymous.yaml", "a: 1\n", "syntax", 1),
        Example("nothing.yaml", "{}\n", "syntax", 1),
        Example("broken.yaml", "a: [\n", "syntax", 2),
        Example("operator.yaml", CONFIGURED),
        Example("empty.yaml", "# Nothing but words.\n", "empty", 0),
    ],
    "kustomize": [
        Example("kustomization.yaml", KUSTOMIZATION, beside={"api.yaml": DEPLOYMENT}),
        Example(
            "kustomization.yaml",
            PATCHED + "secretGenerator:\n  - name: key\n    files:\n      - key=secrets/key\n",
            beside={"api.yaml": DEPLOYMENT, "api.patch.yaml": PATCH.format("api", "replicas: 5")},
        ),
        Example(
            "kustomization.yaml",
            TARGETED.format("api"),
            beside={"api.yaml": DEPLOYMENT, "api.patch.yaml": "- {op: replace, path: /spec/replicas, value: 5}\n"},
        ),
        Example("kustomization.yaml", KUSTOMIZATION, beside={"api.yaml": CONFIGURED}),
        # A component is built with who uses it.
        Example(
            "part/kustomization.yaml",
            COMPONENT + "patches:\n  - path: api.patch.yaml\n",
            beside={
                "part/api.patch.yaml": PATCH.format("api", "replicas: 5"),
                "whole/kustomization.yaml": KUSTOMIZATION + "components:\n  - ../part\n",
                "whole/api.yaml": DEPLOYMENT,
            },
        ),
        Example("kustomization.yaml", COMPONENT, "unused", 0),
        Example("kustomization.yaml", KUSTOMIZATION, "build", 0),
        Example("kustomization.yaml", "resources: [\n", "build", 0),
        Example("kustomization.yaml", "- a\n", "build", 0),
        Example("kustomization.yaml", KUSTOMIZATION + "resource: []\n", "build", 0, beside={"api.yaml": DEPLOYMENT}),
        Example("kustomization.yaml", KUSTOMIZATION, "build", 0, beside={"api.yaml": "# Nothing but words.\n"}),
        # A secret is made in a folder of that name, and nowhere else.
        Example(
            "kustomization.yaml",
            KUSTOMIZATION + "secretGenerator:\n  - name: key\n    files:\n      - key\n",
            "build",
            0,
            beside={"api.yaml": DEPLOYMENT},
        ),
        Example(
            "kustomization.yaml",
            KUSTOMIZATION + "patchesStrategicMerge:\n  - api.patch.yaml\n",
            "deprecated",
            5,
            beside={"api.yaml": DEPLOYMENT, "api.patch.yaml": PATCH.format("api", "replicas: 5")},
        ),
        Example(
            "kustomization.yaml",
            PATCHED,
            "build",
            0,
            beside={"api.yaml": DEPLOYMENT, "api.patch.yaml": PATCH.format("nobody", "replicas: 5")},
        ),
        # Kustomize itself says nothing of these two.
        Example(
            "kustomization.yaml",
            TARGETED.format("nobody"),
            "patch",
            6,
            beside={"api.yaml": DEPLOYMENT, "api.patch.yaml": "- {op: replace, path: /spec/replicas, value: 5}\n"},
        ),
        Example(
            "kustomization.yaml",
            PATCHED,
            "patch",
            6,
            beside={"api.yaml": DEPLOYMENT, "api.patch.yaml": PATCH.format("api", "replicas: 2")},
        ),
        Example(
            "kustomization.yaml",
            PATCHED,
            "schema",
            0,
            beside={"api.yaml": DEPLOYMENT, "api.patch.yaml": PATCH.format("api", "replica: 5")},
        ),
        Example(
            "kustomization.yaml", KUSTOMIZATION, "unused", 0, beside={"api.yaml": DEPLOYMENT, "a.patch.yaml": PATCH}
        ),
        Example(
            "kustomization.yaml", KUSTOMIZATION, "unused", 0, beside={"api.yaml": DEPLOYMENT, "sub/b.yaml": SERVICE}
        ),
        Example(
            "kustomization.yaml",
            KUSTOMIZATION,
            beside={"api.yaml": DEPLOYMENT, "kind.yaml": SERVICE, "c.yaml": "a: 1\n"},
        ),
    ],
    "helm": [
        Example("Chart.yaml", CHART, beside=WHOLE_CHART),
        Example("templates/a.yaml", TEMPLATE, beside=WHOLE_CHART),
        Example(
            "templates/_b.tpl",
            '{{- define "b" }}b{{ end }}\n',
            beside={**WHOLE_CHART, "templates/a.yaml": TEMPLATE + '  b: {{ include "b" . }}\n'},
        ),
        Example(".helmignore", "*~\n", beside=WHOLE_CHART),
        # A hook is judged, too.
        Example(
            "templates/a.yaml",
            TEMPLATE.replace("\ndata:", "\n  annotations: {helm.sh/hook: pre-install}\ndate:"),
            "schema",
            0,
            beside=WHOLE_CHART,
        ),
        Example("Chart.yaml", CHART.replace("1.0.0", "x"), "lint", 0, beside=WHOLE_CHART),
        Example("Chart.yaml", CHART + "maintainer: a\n", "lint", 0, beside=WHOLE_CHART),
        Example("Chart.yaml", CHART + "deprecated: true\n", "warning", 0, beside=WHOLE_CHART),
        Example("Chart.yaml", CHART, "schema", 0, beside={"values.yaml": "a: b\n", "templates/a.yaml": TEMPLATE}),
        Example("values.yaml", "a: b\nc: d\n", "lint", 2, beside=WHOLE_CHART),
        Example("values.yaml", "a: 1\n", "lint", 1, beside=WHOLE_CHART),
        Example("values.yaml", "- a\n", "lint", 0, beside=WHOLE_CHART),
        # Helm itself says nothing of these: a value that no template reads, and one that nobody sets.
        Example(
            "values.yaml",
            "a: b\nc:\n  d: e\n",
            "value",
            3,
            beside={**WHOLE_CHART, "values.schema.json": SCHEMA.format('"type": "object"')},
        ),
        Example("templates/a.yaml", TEMPLATE + "  b: {{ quote .Values.b }}\n", "value", 7, beside=WHOLE_CHART),
        Example("templates/a.yaml", TEMPLATE + "  b: {{ .Values.b.c }}\n", "lint", 7, beside=WHOLE_CHART),
        Example("templates/a.yaml", TEMPLATE + "  b: {{ if }}\n", "lint", 7, beside=WHOLE_CHART),
        Example("templates/a.yaml", TEMPLATE + '  b: {{ fail "no" }}\n', "render", 7, beside=WHOLE_CHART),
        Example("templates/a.yaml", TEMPLATE + "  b: [\n", "lint", 0, beside=WHOLE_CHART),
        Example(
            "templates/b.yaml",
            "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata:\n  name: a\n",
            "lint",
            0,
            beside=WHOLE_CHART,
        ),
        Example("templates/b.yaml", SERVICE.replace("80", '"80"'), "schema", 0, beside=WHOLE_CHART),
        Example(
            "templates/b.yaml",
            SCALER.replace("autoscaling/v2", "autoscaling/v2beta2"),
            "unknown",
            0,
            beside=WHOLE_CHART,
        ),
        Example("templates/b.yaml", "{{- if false }}\na: 1\n{{- end }}\n", "unused", 0, beside=WHOLE_CHART),
        Example("templates/b.yaml", "# Nothing but words.\n", "unused", 0, beside=WHOLE_CHART),
        Example("templates/_b.tpl", '\n{{- define "b" }}b{{ end }}\n', "unused", 2, beside=WHOLE_CHART),
        # What is wrong in a file that was not given.
        Example(
            "Chart.yaml", CHART, "schema", 0, beside={**WHOLE_CHART, "templates/b.yaml": SERVICE.replace("80", '"80"')}
        ),
        Example("templates/a.yaml", TEMPLATE, "chart", 0),
        # A file of values that lies beside charts.
        Example("mine.yaml", "a: c\n", beside=BESIDE),
        Example("mine.yaml", "a: c\nd: e\n", "values", 2, beside=BESIDE),
        Example("mine.yaml", "# A number.\na: 1\n", "values", 2, beside=BESIDE),
        Example(
            "mine.yaml", "a: b\n", "schema", 0, beside={**BESIDE, "c/templates/b.yaml": SERVICE.replace("80", '"80"')}
        ),
        Example("mine.yaml", "a: b\n", "chart", 0),
    ],
    "spelling": [
        Example("good.md", "Receive the separate file.\n"),
        Example("bad.md", "Good.\nRecieve it.\n", "spelling", 2),
    ],
    "executable": [
        Example("good.sh", "#!/bin/sh\n", mode=0o755),
        Example("sourced.sh", "true\n"),
        Example("bad.sh", "#!/bin/sh\n", "mode", 1),
        Example("data.sh", "true\n", "mode", 1, mode=0o755),
    ],
    "links": [
        Example("good.md", "[a](good.md), [b](#b), [c](https://example.com/gone.md), [d](good.md#d)\n"),
        Example("bad.md", "[a](good.md)\n\n| t |\n| --- |\n| [b](gone.md#b) |\n", "link", 5),
        Example("picture.md", "![a](gone.svg)\n", "link", 1),
    ],
}


@pytest.mark.parametrize(("check", "number"), numbered(EXAMPLES))
def test_example(check: str, number: int, examples: dict[str, Verdicts]) -> None:
    judge_example(EXAMPLES[check][number], number, examples[check].get(check))


@pytest.mark.parametrize("check", EXAMPLES)
def test_a_tool_that_says_nothing_and_ends_with_0(check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A program of Go is not looked up: it is built, and stands where it was built.
    monkeypatch.setattr("handbook.go.built", lambda name, *_, **__: Path(tools.find(name)))
    believes_no_silence(check, EXAMPLES[check], tmp_path, monkeypatch)


def test_gixy_gets_no_secret_that_stands_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`prepare.sh` makes secrets beside the stack, for other users; git ignores them."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    parts = {"compose.yaml": COMPOSE, "parts/a.conf": "etag on;\n", "parts/secrets/key": "", ".gitignore": "secrets\n"}
    (path,) = write(tmp_path, [Example("nginx.conf", INCLUDING, beside=parts)])
    copied: list[Path] = []
    copy = shutil.copy
    monkeypatch.setattr(shutil, "copy", lambda source, target: copied.append(Path(source)) or copy(source, target))
    assert load("gixy").run(tmp_path, [path]) == []
    assert {file.name for file in copied} == {"nginx.conf", "a.conf"}


def test_gixy_passes_no_file_beside_one_that_can_not_be_parsed(tmp_path: Path) -> None:
    parts = {
        "compose.yaml": COMPOSE,
        "parts/a.conf": "server_tokens off;\n",
        "parts/bad.conf": "etag on;\nlocation / {\n",
    }
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (path,) = write(tmp_path, [Example("nginx.conf", INCLUDING, beside=parts)])
    folder = path.removesuffix("/nginx.conf")
    others = [f"{folder}/parts/a.conf", f"{folder}/parts/bad.conf"]
    found = load("gixy").run(tmp_path, [path, *others])
    assert [(finding.path, finding.rule, finding.line) for finding in found] == [
        (path, "unjudged", 0),
        (others[0], "unjudged", 0),
        (others[1], "syntax", 2),
    ]
    assert found[0].hint == f"see {others[1]}:2"


def test_every_check_has_a_good_and_a_bad_example() -> None:
    assert lacking(EXAMPLES, "nothing") == []
