"""The same image under the same name, pinned, and run by the same user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from handbook.contracts import Wrong, contract, contract_of_all, nothing, place
from handbook.facts import Fact
from handbook.facts.deployment import Deployment, Facts


class Name(NamedTuple):
    """An image's name in its parts."""

    repository: str
    tag: str
    digest: str


def parts(image: str) -> Name:
    """Split `registry:5000/name:tag@sha256:...`."""
    name, _, digest = image.partition("@")
    match = re.fullmatch(r"(.+?)(?::([\w.-]+))?", name)
    return Name(match[1], match[2] or "", digest) if match else Name(name, "", digest)


@contract_of_all
def pinned(facts: Facts) -> Iterator[Wrong]:
    """Every image has a tag that is not `latest`, or a digest: another day must not bring another image.

    https://docs.docker.com/build/building/best-practices/#pin-base-image-versions
    """
    images = list(_images(facts))
    if not images:
        yield nothing(facts, "no deployment has an image")
    for image in images:
        name = parts(image.value)
        if not name.digest and name.tag in ("", "latest"):
            yield Wrong(image, f"the image {image.value} is not pinned", "name a version")


@contract_of_all
def same(facts: Facts) -> Iterator[Wrong]:
    """Where the same image stands twice, it has the same version.

    What is built here is the business of `images.built`.
    """
    first: dict[str, Fact[str]] = {}
    built_here = {w.image for d in facts.deployments for w in d.workloads if w.name.value in d.dockerfiles}
    for image in _images(facts):
        if image in built_here:
            continue
        name = parts(image.value)
        other = first.setdefault(name.repository, image)
        if parts(other.value) != name:
            yield Wrong(image, f"{image.value} here is {other.value} in {place(other)}", "write the same version")


@contract
def built(deployment: Deployment, image: Fact[str]) -> Iterator[Wrong]:
    """What is built from one folder is built once, has one name, and its tag is the version of the package in it.

    Compose writes the name of a service into each image that it builds: of two from one folder, one loses its name.
    """
    name = deployment.service.workload.image
    version = deployment.service.code.version
    if version is None:
        yield Wrong(deployment.service.code.at, "the package has no __version__", "give it one in its __init__.py")
    for service in deployment.services:
        own = service.workload.image
        if own is None:
            yield Wrong(service.workload.name, "what is built here has no name", "name it with `image`")
            continue
        if name and parts(own.value).repository != parts(name.value).repository:
            yield Wrong(own, f"{own.value} here is {name.value} in {place(name)}", "write the same name")
        if version and parts(own.value).tag != version.value:
            message = f"the image is {own.value}, the package is {version.value} ({place(version)})"
            yield Wrong(own, message, "write the version of the package")
    folders: dict[str, Fact[str]] = {}
    for build in (workload.build for workload in deployment.workloads if workload.build):
        first = folders.setdefault(build.value, build)
        if first is not build:
            message = f"{build.value} is built in {place(first)} already"
            yield Wrong(build, message, "name the image without `build`: Compose builds it where that stands")


@contract
def user(deployment: Deployment, image: Fact[str]) -> Iterator[Wrong]:
    """What is built here runs as a numeric user that is not root, and the target runs it as the same.

    Only a number can be checked by Kubernetes' runAsNonRoot and be given files on a host:
    https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
    """
    for workload in deployment.workloads:
        dockerfile = deployment.dockerfiles.get(workload.name.value)
        if dockerfile is None:
            if build := workload.build:
                yield Wrong(build, f"there is no Dockerfile in {build.value}", "add one, or correct the path")
            continue
        user, other = dockerfile.user, workload.user
        if user is None:
            yield Wrong(Fact("", dockerfile.path, 1), "the image runs as root", "add USER with a number")
        elif not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", user.value):
            yield Wrong(user, f"the image runs as {user.value}", "name a number that is not 0")
        elif other and other.value != user.value:
            message = f"{workload.name.value} runs as {other.value}, its image as {user.value} ({place(user)})"
            yield Wrong(other, message, "write the same user")


def _images(facts: Facts) -> Iterator[Fact[str]]:
    """Every image that is run or built upon, each place once."""
    seen: set[Fact[str]] = set()
    for deployment in facts.deployments:
        named = [workload.image for workload in deployment.workloads if workload.image]
        for image in [*named, *(base for file in deployment.dockerfiles.values() for base in file.bases)]:
            if image not in seen:
                seen.add(image)
                yield image


CONTRACTS = (pinned, same, built, user)
