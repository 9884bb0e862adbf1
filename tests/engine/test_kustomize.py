"""What kustomize builds: each object with the file that it comes from, and nothing that git does not know."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from handbook import checks, go, kustomize
from handbook.catalog import Catalog
from handbook.checks import kustomize as check
from handbook.findings import HandbookError

BASE = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - api.yaml
configMapGenerator:
  - name: settings
    literals: [A=b]
secretGenerator:
  - name: keys
    files: [secrets/key, token=secrets/other]
    options: {disableNameSuffixHash: true}
"""
OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namePrefix: one-
resources:
  - ../base
components:
  - ../part
patches:
  - path: replicas.patch.yaml
"""
PART = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources:
  - more.yaml
"""
API = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: api
          image: api:1
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n"
PATCH = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: 5}\n"
FILES = {
    ".gitignore": "secrets/\n",
    "snippets/k/base/kustomization.yaml": BASE,
    "snippets/k/base/api.yaml": API,
    "snippets/k/base/secrets/key": "of this machine",
    "snippets/k/over/kustomization.yaml": OVERLAY,
    "snippets/k/over/replicas.patch.yaml": PATCH,
    "snippets/k/part/kustomization.yaml": PART,
    "snippets/k/part/more.yaml": CONFIG,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_each_object_has_the_file_that_it_comes_from(root: Path) -> None:
    found = kustomize.render(root, "snippets/k/over")
    paths = {one.name.partition("-b9t")[0]: one.path for one in found.objects}
    assert paths == {
        "Deployment/one-api": "snippets/k/base/api.yaml",
        "ConfigMap/one-settings": "snippets/k/base/kustomization.yaml",
        "Secret/one-keys": "snippets/k/base/kustomization.yaml",
        "ConfigMap/one-more": "snippets/k/part/more.yaml",
    }
    assert found.warnings == ()


def test_it_is_what_kustomize_prints_and_no_more(root: Path) -> None:
    found = kustomize.render(root, "snippets/k/over")
    assert list(yaml.safe_load_all(found.text)) == [one.value for one in found.objects]
    assert "config.kubernetes.io/origin" not in found.text
    assert next(one for one in found.objects if one.name == "Deployment/one-api").value["spec"]["replicas"] == 5


def test_a_secret_of_this_machine_is_not_read_and_none_is_made(root: Path) -> None:
    found = kustomize.render(root, "snippets/k/base")
    secret = next(one for one in found.objects if one.name == "Secret/keys")
    assert secret.value["data"] == {"key": "", "token": ""}
    assert os.listdir(root / "snippets/k/base/secrets") == ["key"]


def test_it_is_built_once_until_a_file_changes(root: Path) -> None:
    first = kustomize.render(root, "snippets/k/base")
    assert kustomize.render(root, "snippets/k/base") is first
    (root / "snippets/k/base/api.yaml").write_text(API.replace("replicas: 2", "replicas: 30"), encoding="utf-8")
    assert "replicas: 30" in kustomize.render(root, "snippets/k/base").text


def test_what_can_not_be_built_is_told_without_a_path_of_the_copy(root: Path) -> None:
    (root / "snippets/k/base/api.yaml").unlink()
    with pytest.raises(HandbookError, match=r"^snippets/k/over/kustomization\.yaml: it can't be built: ") as caught:
        kustomize.render(root, "snippets/k/over")
    assert "snippets/k/base/api.yaml" in str(caught.value)
    assert "/tmp" not in str(caught.value)


def test_a_folder_without_a_kustomization_is_told(root: Path) -> None:
    with pytest.raises(HandbookError, match=r"^snippets/k: there is no kustomization\.yaml in it$"):
        kustomize.render(root, "snippets/k")


def test_a_kustomize_that_says_nothing_is_not_believed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go, "built", lambda *_, **__: Path("/bin/true"))
    with pytest.raises(HandbookError, match=r"kustomize did not build it; the end of its output:\n\(nothing\)"):
        kustomize.render(root, "snippets/k/over")


def test_a_patch_can_be_left_out(root: Path) -> None:
    without = kustomize.without(root, "snippets/k/over", "snippets/k/over/kustomization.yaml", 0)
    assert without == kustomize.render(root, "snippets/k/over").text.replace("replicas: 5", "replicas: 2")


def test_all_that_a_build_reads_decides_about_it(root: Path) -> None:
    own = Catalog(root)
    path = "snippets/k/over/kustomization.yaml"
    known = [name for name in FILES if name.startswith("snippets/") and "secrets" not in name]
    assert sorted(checks.inputs("kustomize", own, path)) == sorted(known)
    (root / path).write_text("resources: [\n", encoding="utf-8")
    assert checks.inputs("kustomize", own, path) == (path,)


def test_the_examples_that_tests_start_from_are_right(root: Path) -> None:
    assert check.run(root, [name for name in FILES if name.endswith(kustomize.FILE)]) == []


def test_a_deprecated_field_is_told_where_it_stands_and_once(root: Path) -> None:
    base = root / "snippets/k/base/kustomization.yaml"
    base.write_text(BASE + "commonLabels: {a: b}\n", encoding="utf-8")
    found = check.run(root, ["snippets/k/base/kustomization.yaml", "snippets/k/over/kustomization.yaml"])
    assert [(one.path, one.line, one.rule) for one in found] == [
        ("snippets/k/base/kustomization.yaml", 12, "deprecated")
    ]


def test_a_patch_of_a_component_is_judged_by_those_that_use_it(root: Path) -> None:
    part = root / "snippets/k/part/kustomization.yaml"
    target = "patches:\n  - target: {kind: Deployment, name: %s}\n    patch: '- {op: remove, path: /spec/replicas}'\n"
    paths = ["snippets/k/part/kustomization.yaml"]
    (root / "snippets/k/over/kustomization.yaml").write_text(
        OVERLAY.partition("patches:")[0] + "patches: [{path: replicas.patch.yaml}]\n", encoding="utf-8"
    )
    part.write_text(PART + target % "nobody", encoding="utf-8")
    found = check.run(root, paths)
    assert [(one.path, one.line, one.rule) for one in found] == [(paths[0], 6, "patch")]
    (root / "snippets/k/over/kustomization.yaml").write_text(OVERLAY.partition("patches:")[0], encoding="utf-8")
    (root / "snippets/k/over/replicas.patch.yaml").unlink()
    part.write_text(PART + target % "api", encoding="utf-8")
    assert check.run(root, paths) == []


def test_what_is_refused_as_rendered_names_the_file_that_it_comes_from(root: Path) -> None:
    (root / "snippets/k/over/replicas.patch.yaml").write_text(PATCH.replace("replicas", "replica"), encoding="utf-8")
    (found,) = check.run(root, ["snippets/k/over/kustomization.yaml"])
    assert found.rule == "schema"
    said = "as rendered, Deployment/one-api (it comes from snippets/k/base/api.yaml): "
    assert found.message == f"{said}spec: additional properties 'replica' not allowed"
