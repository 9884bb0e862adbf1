"""The images of pods: pinned, the same as elsewhere, and taken from the node when they are there."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, place
from handbook.contracts.images import parts
from handbook.contracts.kubernetes import rendered
from handbook.facts.kubernetes import Overlay, Pods, image_name


@rendered
def pinned(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """Each image has a tag that is not `latest`, or a digest: else nodes run different code, and no way leads back.

    https://kubernetes.io/docs/concepts/containers/images/#image-names
    """
    for container in (container for each in pods for container in each.all):
        name = parts(container.image.value)
        if not name.digest and name.tag in ("", "latest"):
            yield Wrong(container.image, f"the image {container.image.value} is not pinned", "name a version")


@rendered
def pulled(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """An image that is on the node is not fetched again: a registry that is away must not stop a restart.

    https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy
    """
    for container in (container for each in pods for container in each.all):
        policy = container["imagePullPolicy"]
        if policy.text == "Always":
            yield Wrong(policy.at, f"{container.name.value} needs the registry at each start", "write IfNotPresent")


@rendered
def same(overlay: Overlay, pods: list[Pods], others: list[object]) -> Iterator[Wrong]:
    """An image that runs on another target, too, has the same version here: what was tested there is what runs here.

    The service's own image may come from any registry: it is known by the last part of its name.
    """
    known = {}
    for other in overlay.others:
        if other.image:
            known.setdefault(_known_as(other.image.value, overlay), other.image)
    compared = False
    for container in (container for each in pods for container in each.all):
        image = container.image
        other = known.get(_known_as(image.value, overlay))
        compared = compared or other is not None
        if other and parts(other.value).tag != parts(image.value).tag:
            yield Wrong(image, f"{image.value} here is {other.value} in {place(other)}", "write the same version")
    if not compared:
        yield Wrong(overlay.at, "no image here runs on another target, so nothing is judged", "run the same images")


def _known_as(image: str, overlay: Overlay) -> str:
    last = image_name(image)
    return last if last in overlay.codes else parts(image).repository


CONTRACTS = (pinned, pulled, same)
