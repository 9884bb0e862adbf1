"""What pods are given: settings that somebody reads, and secrets that stand in no file of the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator

from handbook.contracts import Wrong, place
from handbook.contracts.kubernetes import rendered
from handbook.facts import postgres, quantities
from handbook.facts.deployment import Service
from handbook.facts.kubernetes import Object, Overlay, Pods, Reference, Value

# Read by the interpreter, by libpq and by gunicorn themselves.
_OTHERS = re.compile(r"PATH|HOME|TMPDIR|PYTHON\w+|PG\w+|TZ|LANG|LC_\w+|SSL_CERT_\w+|GUNICORN_CMD_ARGS")
_URLS = (("cache_url", "cache_password"), ("broker_url", "broker_password"))


@rendered
def values(overlay: Overlay, objects: list[Object]) -> Iterator[Wrong]:
    """No Secret is written with its values: base64 hides nothing, and git forgets nothing.

    https://kubernetes.io/docs/concepts/security/secrets-good-practices/
    """
    for each in objects:
        if each.kind != "Secret":
            continue
        for part in ("data", "stringData"):
            for key, value in each[part].pairs().items():
                if value.text:
                    message = f"the value of {key} of {each} stands in the repository"
                    yield Wrong(
                        value.at, message, "take it from a store with an ExternalSecret, or make it with a script"
                    )


@rendered
def plain(overlay: Overlay, own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """No secret of the service is a variable: whoever may read pods or ConfigMaps would read it.

    https://kubernetes.io/docs/concepts/security/secrets-good-practices/#restrict-secret-access-to-specific-containers
    """
    for _, service in own:
        for setting in service.secrets:
            value = service.workload.environment.get(setting.name.value)
            if value and value.value:
                message = f"{setting.name.value} is a secret and stands in the environment"
                yield Wrong(value, message, f"mount it as {service.secret_path(setting)}")


@rendered
def keys(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """Each ConfigMap, Secret and key that something takes is made by something: a pod that waits for one never starts.

    https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets
    """
    for taker, (kind, name, key, at, named, optional) in _taken(overlay, pods):
        there = overlay.keys(kind, name)
        if optional:
            continue
        if there is None:
            yield Wrong(
                named,
                f"{taker} takes from the {kind} {name}, which nothing makes",
                "name one that is there, or make it",
            )
        elif key and key not in there:
            message = f"{taker} takes {key} from the {kind} {name}, which has {', '.join(sorted(there)) or 'nothing'}"
            yield Wrong(at, message, "name a key that it has")


def _taken(overlay: Overlay, pods: list[Pods]) -> Iterator[tuple[Object, Reference]]:
    """Yield everything that takes from a ConfigMap or a Secret, pods and others, and what it takes."""
    for each in pods:
        yield from ((each.object, reference) for reference in each.references)

    def secret(name: Value, key: Value | None = None) -> Reference:
        return Reference("Secret", name.text, key.text if key else None, (key or name).at, name.at, False)

    for each in overlay.objects:
        spec = each["spec"]
        if each.kind == "TriggerAuthentication":
            yield from ((each, secret(item["name"], item["key"])) for item in spec["secretTargetRef"].items())
        for listener in spec["listeners"].items() if each.kind == "Gateway" else []:
            yield from ((each, secret(item["name"])) for item in listener["tls"]["certificateRefs"].items())
        if each.kind == "Ingress":
            yield from ((each, secret(item["secretName"])) for item in spec["tls"].items() if item["secretName"])
        if each.kind in ("Issuer", "ClusterIssuer") and spec["ca"]["secretName"]:
            yield each, secret(spec["ca"]["secretName"])


@rendered
def mounted(overlay: Overlay, own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """Every secret that the service reads is a file where it looks for it.

    https://kubernetes.io/docs/concepts/configuration/secret/#use-case-secret-visible-to-one-container-in-a-pod
    """
    for pods, service in own:
        for setting in service.secrets:
            path = service.secret_path(setting)
            if setting.required and path not in service.workload.secrets:
                message = f"{pods.object} does not get {path}, which {place(setting.name)} needs"
                yield Wrong(pods.name, message, "mount the secret there")


@rendered
def read(overlay: Overlay, own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """Every variable is read: one with a wrong name changes nothing, without a word."""
    for _, service in own:
        code = service.code
        known = {setting.name.value for setting in code.settings} | {lookup.value.name for lookup in code.lookups}
        for name, value in service.workload.environment.items():
            if name not in known and not _OTHERS.fullmatch(name):
                yield Wrong(value, f"the service reads no {name}", "take it away, or correct its name")
    for pods in overlay.databases:
        for name, value in pods.main.environment.items():
            if name not in postgres.VARIABLES:
                yield Wrong(value, f"the image of the database reads no {name}", "take it away, or correct its name")


@rendered
def redis(overlay: Overlay, own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """Redis is asked over TLS, or with a password from a Secret; no password stands in a URL.

    https://redis.io/docs/latest/operate/oss_and_stack/management/security/
    """
    for pods, service in own:
        known = {setting.field: setting for setting in service.settings}
        for field, password in _URLS:
            url = service.effective(field)
            if field not in known or url is None or not url.value:
                continue
            parts = url.read(lambda text: quantities.url(str(text))).value
            if parts.password:
                yield Wrong(url, f"{field.upper()} holds a password", "take it from a Secret")
                continue
            given = password in known and service.secret_path(known[password]) in service.workload.secrets
            if parts.scheme != "rediss" and not given:
                message = f"{pods.object} asks {parts.hostname} without TLS and without a password"
                yield Wrong(url, message, "write rediss://, or mount the password from a Secret")


CONTRACTS = (values, plain, keys, mounted, read, redis)
