"""Pods may do no more than they need: the level `restricted` of Pod Security, and a root that can't be written."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong
from handbook.contracts.kubernetes import rendered
from handbook.facts.kubernetes import Container, Overlay, Pods, Value

_ENFORCE = "pod-security.kubernetes.io/enforce"
_HOST = ("hostNetwork", "hostPID", "hostIPC")


@rendered
def restricted(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """Each pod fits the level `restricted`, and a Namespace of the set enforces it.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    """
    for each in pods:
        for name in _HOST:
            if each.spec[name].text == "true":
                yield Wrong(each.spec[name].at, f"{each.object} shares the node's {name[4:].lower()}", "take it away")
        for volume in each.spec["volumes"].items():
            if volume["hostPath"]:
                yield Wrong(volume["name"].at, f"{each.object} mounts a folder of the node", "use another volume")
        for container in each.all:
            yield from _of(container, each)
    for namespace in overlay.of("Namespace"):
        level = namespace["metadata"]["labels"][_ENFORCE]
        if level.text != "restricted":
            at = level.at if level else namespace.name
            yield Wrong(at, f"{namespace} does not enforce `restricted`", f"write the label {_ENFORCE}: restricted")


def _of(container: Container, pods: Pods) -> Iterator[Wrong]:
    own, shared, name = container["securityContext"], pods.spec["securityContext"], container.name
    said = f"{name.value} of {pods.object}"

    def wrong(value: Value, message: str, hint: str) -> Wrong:
        return Wrong(value.at if value else name, f"{said} {message}", hint)

    user = own["runAsNonRoot"] or shared["runAsNonRoot"]
    if user.text != "true":
        yield wrong(user, "may run as root", "write runAsNonRoot: true")
    number = own["runAsUser"] or shared["runAsUser"]
    if number.text == "0":
        yield wrong(number, "runs as root", "write the number of another user")
    if own["allowPrivilegeEscalation"].text != "false":
        yield wrong(own["allowPrivilegeEscalation"], "may gain rights", "write allowPrivilegeEscalation: false")
    if own["privileged"].text == "true":
        yield wrong(own["privileged"], "may do what the node may", "take privileged away")
    capabilities = own["capabilities"]
    if "ALL" not in [each.text for each in capabilities["drop"].items()]:
        yield wrong(capabilities["drop"], "keeps capabilities", "drop ALL")
    for added in capabilities["add"].items():
        yield wrong(added, f"gets {added.text}", "take it away")
    profile = own["seccompProfile"]["type"] or shared["seccompProfile"]["type"]
    if profile.text not in ("RuntimeDefault", "Localhost"):
        yield wrong(profile, "may make every system call", "write seccompProfile: {type: RuntimeDefault}")
    if own["readOnlyRootFilesystem"].text != "true":
        yield wrong(own["readOnlyRootFilesystem"], "may write its root", "write readOnlyRootFilesystem: true")


@rendered
def token(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """No pod gets a token for the API server: nothing here asks it.

    https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting
    """
    for each in pods:
        mounts = each.spec["automountServiceAccountToken"]
        account = each.spec["serviceAccountName"].text or "default"
        for known in overlay.of("ServiceAccount"):
            if known.name.value == account and known.namespace == each.object.namespace:
                mounts = mounts or known["automountServiceAccountToken"]
        if mounts.text != "false":
            message = f"{each.object} gets a token for the API server"
            yield Wrong(mounts.at if mounts else each.name, message, "write automountServiceAccountToken: false")


CONTRACTS = (restricted, token)
