"""The schemas of Kubernetes are made once for their pins; kubeconform is believed only when it read every object."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from handbook import go, schemas, tools
from handbook.catalog import ROOT
from handbook.checks import _kubeconform, kubeconform
from handbook.findings import HandbookError

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n"
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  group: example.org
  names: {kind: Thing}
  versions:
    - name: v1
      served: true
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              properties:
                size: {x-kubernetes-int-or-string: true, pattern: "^[0-9]+%$"}
                open: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
                labels: {type: object, additionalProperties: {type: string}}
                maybe: {type: string, nullable: true, enum: [a]}
                operator: {type: string, enum: [=, "!="]}
                either:
                  type: object
                  properties: {a: {type: string}, b: {type: string}}
                  oneOf: [{required: [a], properties: {a: {pattern: x}}}, {required: [b]}]
    - name: v1alpha1
      served: false
      schema: {openAPIV3Schema: {type: object}}
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What stands for kubeconform: it says what the test wants, for every minor version, and ends with a code."""

    def say(resources: Any, code: int = 0) -> None:
        printed = resources if isinstance(resources, str) else json.dumps({"resources": resources})
        program = tmp_path / "kubeconform"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\nexit {code}\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setattr(go, "built", lambda *_, **__: program)

    monkeypatch.setattr(schemas, "location", lambda minor: [])
    (tmp_path / "a.yaml").write_text(CONFIG.format("a") + "---\n" + CONFIG.format("b"), encoding="utf-8")
    return say


def resource(name: str, status: str = "statusValid", **more: str) -> dict[str, str]:
    return {
        "filename": "a.yaml",
        "kind": "ConfigMap",
        "name": name,
        "version": "v1",
        "status": status,
        "msg": "",
        **more,
    }


def test_what_kubeconform_read_is_believed(told: Any, tmp_path: Path) -> None:
    told([resource("a"), resource("b"), resource("", "")])
    assert kubeconform.run(tmp_path, ["a.yaml"]) == []


@pytest.mark.parametrize(
    ("resources", "code", "said"),
    [
        ("", 0, "printed no JSON"),
        ([], 0, "a.yaml: it judged 0 of 2 objects"),
        ([resource("a")], 0, "a.yaml: it judged 1 of 2 objects"),
        ([resource("a"), resource("b"), resource("c")], 0, "a.yaml: it judged 3 of 2 objects"),
        ([resource("a"), resource("b", "statusSkipped")], 0, "it passed over ConfigMap/b of a.yaml"),
        ([resource("a"), resource("b")], 1, "it ended with 1 and told 0 problems"),
        ([resource("a"), resource("b", "statusError", msg="m")], 0, "it ended with 0 and told 1 problems"),
        ([resource("a"), resource("b")], 2, "unknown exit code 2"),
    ],
)
def test_silence_and_what_is_left_out_are_not_believed(
    told: Any, tmp_path: Path, resources: Any, code: int, said: str
) -> None:
    told(resources, code)
    with pytest.raises(HandbookError, match=f"(?s){said}; the end of its output"):
        kubeconform.run(tmp_path, ["a.yaml"])


def test_what_one_version_alone_refuses_is_told_with_it(tmp_path: Path) -> None:
    kinds = {minor: {path.name for path in (schemas.made() / minor).iterdir()} for minor in schemas.MINORS}
    oldest, *_, newest = schemas.MINORS
    new = sorted(kinds[newest] - kinds[oldest])
    assert new, "both versions know the same kinds: nothing was compared"
    schema = json.loads((schemas.made() / newest / new[0]).read_text(encoding="utf-8"))
    kind, version = (schema["properties"][key]["enum"][0] for key in ("kind", "apiVersion"))
    (tmp_path / "a.yaml").write_text(f"apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: a\n", encoding="utf-8")
    found = [one for one in kubeconform.run(tmp_path, ["a.yaml"]) if one.rule == "unknown"]
    assert [(one.line, one.message.startswith(f"{kind}/a: no {version} {kind} is known")) for one in found] == [
        (1, True)
    ]
    assert f"(Kubernetes {oldest}" in found[0].message
    assert newest not in found[0].message


def test_no_schema_asks_a_network_and_all_can_be_used(tmp_path: Path) -> None:
    """An object of every kind is judged: a schema that can't be read, or a missing reference, would say so."""
    folder = schemas.made()
    texts: dict[str, str] = {}
    for path in sorted([*(folder / "1.37").iterdir(), *(folder / "added").iterdir()]):
        schema = json.loads(path.read_text(encoding="utf-8"))
        assert '"$id"' not in path.read_text(encoding="utf-8")
        fixed = {key: schema["properties"][key]["enum"][0] for key in ("apiVersion", "kind")}
        # What nobody writes: answers of the API server, and what it keeps for itself.
        if not fixed["kind"].endswith("List") and "-meta-" not in path.name and "internal" not in path.name:
            texts[path.name] = json.dumps({**fixed, "metadata": {"name": "a"}, "noSuchField": 1})
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = _kubeconform.judge(tmp_path, list(texts))
    strict = {problem.file for problem in found if "additional properties 'noSuchField' not allowed" in problem.message}
    assert len(texts) > len(schemas.DEFINITIONS)
    assert sorted(set(texts) - strict) == []


def test_a_definition_becomes_a_strict_schema(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DEFINITION, encoding="utf-8")
    ((name, schema),) = schemas._schemas(tmp_path)
    assert name == "thing-example.org-v1.json"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["apiVersion", "kind", "metadata", "spec"]
    assert schema["properties"]["apiVersion"] == {"enum": ["example.org/v1"]}
    fields = schema["properties"]["spec"]["properties"]
    assert fields["size"] == {"anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "^[0-9]+%$"}
    assert "additionalProperties" not in fields["open"]
    assert fields["labels"]["additionalProperties"] == {"type": "string"}
    assert fields["maybe"] == {"type": ["string", "null"], "enum": ["a", None]}
    assert fields["operator"]["enum"] == ["=", "!="]
    assert fields["either"]["additionalProperties"] is False
    assert fields["either"]["oneOf"][0] == {"required": ["a"], "properties": {"a": {"pattern": "x"}}}


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    """A checkout that has nothing but the pins."""
    shutil.copytree(ROOT / "tools" / "schemas", tmp_path / "tools" / "schemas")
    return tmp_path


class Go:
    """What stands for Go: each module lies in a folder with one definition, and has the sum that is pinned."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls, self.sum, self.silent = root, 0, "", False

    def __call__(self, command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        module, version = command[-1].split("@")
        folder = self.root / "modules" / module / schemas.DEFINITIONS[module]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.yaml").write_text(DEFINITION.replace("example.org", module.split("/")[0]), encoding="utf-8")
        lines = (self.root / "tools/schemas/go.sum").read_text(encoding="utf-8").splitlines()
        own = self.sum or next(line.split()[2] for line in lines if line.startswith(f"{module} {version} "))
        told = json.dumps({"Dir": str(self.root / "modules" / module), "Sum": own})
        return subprocess.CompletedProcess(list(command), 0, "" if self.silent else told, "")


@pytest.fixture
def fetched(pins: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    found = Go(pins)
    monkeypatch.setattr(schemas, "run", found)
    return found


def test_they_are_made_once(fetched: Go) -> None:
    folder = schemas.made(fetched.root)
    assert {path.name for path in folder.iterdir()} == {*schemas.MINORS, "added"}
    assert fetched.calls == len(schemas.DEFINITIONS)
    assert schemas.made(fetched.root) == folder
    assert fetched.calls == len(schemas.DEFINITIONS)
    with (fetched.root / "tools/schemas/go.sum").open("a") as sums:
        sums.write("\n")
    assert schemas.made(fetched.root) != folder


def test_a_module_with_another_sum_is_refused_and_nothing_is_kept(fetched: Go) -> None:
    fetched.sum = "h1:another="
    with pytest.raises(HandbookError, match=r"^tools/schemas/go\.sum: .* with the sum h1:another=; go\.sum has h1:"):
        schemas.made(fetched.root)
    assert [path.name for path in (fetched.root / ".cache/schemas").iterdir()] == ["lock"]


def test_a_module_that_can_not_be_fetched_is_told(fetched: Go) -> None:
    fetched.silent = True
    with pytest.raises(HandbookError, match=r"(?s)can't be fetched; .*GOPROXY.*; the end of its output:\n\(nothing\)"):
        schemas.made(fetched.root)


def test_a_module_without_definitions_is_told(fetched: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "_schemas", lambda folder: iter(()))
    with pytest.raises(HandbookError, match="has no definitions in "):
        schemas.made(fetched.root)


def test_a_module_that_nobody_knows_is_told(fetched: Go) -> None:
    with (fetched.root / "tools/schemas/go.mod").open("a") as pins:
        pins.write("\nrequire example.org/other v1.0.0\n")
    with pytest.raises(HandbookError, match=r"nobody knows where example\.org/other has its definitions"):
        schemas.made(fetched.root)


def test_a_version_without_schemas_is_told(fetched: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "MINORS", ("1.99",))
    with pytest.raises(HandbookError, match=r"has no schemas of Kubernetes 1\.99; lock one that has them"):
        schemas.made(fetched.root)


def test_without_the_package_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "_PACKAGE", "no-such-package")
    with pytest.raises(tools.MissingTool, match=r"^no-such-package is not installed; run `make venv`$"):
        schemas.made()


def test_every_module_that_is_pinned_has_a_sum_and_a_folder() -> None:
    pinned = go.pinned("schemas")
    assert pinned.keys() == schemas.DEFINITIONS.keys()
    sums = (ROOT / "tools/schemas/go.sum").read_text(encoding="utf-8")
    assert [module for module, version in pinned.items() if f"{module} {version} h1:" not in sums] == []


def test_the_line_is_that_of_the_object_which_is_meant(tmp_path: Path) -> None:
    text = "# first\n" + CONFIG.format("a") + "---\n" + CONFIG.format("b") + "datum: {}\n"
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    assert len(list(yaml.safe_load_all(text))) == 2
    assert [(one.line, one.rule) for one in kubeconform.run(tmp_path, ["a.yaml"])] == [(11, "schema")]
