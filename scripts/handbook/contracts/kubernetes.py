"""What is rendered for Kubernetes as a whole: how its rules are judged, and who refuses what breaks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import signature
from typing import Any

from handbook.contracts import Contract, Wrong
from handbook.facts import Fact
from handbook.facts.deployment import Facts
from handbook.facts.kubernetes import FOLDER, Overlay
from handbook.findings import Finding


def rendered(rule: Callable[..., Iterator[Wrong]]) -> Contract:
    """Turn a rule over one overlay into a contract: it judges them all, and its findings carry its name.

    The rule takes the overlay and may take parts of it by their names there, such as `scalers`: it judges only the
    overlays that have something of each. When that is no overlay at all, the contract finds just this.
    """
    parts = [name for name in signature(rule).parameters if name != "overlay"]

    def found(facts: Facts) -> Iterator[Wrong]:
        judged = False
        for overlay in facts.overlays:
            given = {name: getattr(overlay, name) for name in parts}
            if all(given.values()):
                judged = True
                yield from rule(overlay, **given)
        if not judged:
            what = f"no overlay has {' and '.join(parts)}" if parts else "there is no overlay"
            yield Wrong(Fact("", FOLDER, 0), f"{what}, so nothing is judged", "add one, or take the contract away")

    @wraps(rule)
    def judge(facts: Facts) -> list[Finding]:
        name = f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}"
        # What overlays share is judged with each: what is said twice is kept once.
        return list(dict.fromkeys(Finding(w.at.path, w.at.line, name, w.message, w.hint) for w in found(facts)))

    return judge


@rendered
def refuses(overlay: Overlay, admissions: list[Any]) -> Iterator[Wrong]:
    """Each ValidatingAdmissionPolicy is bound with the action Deny: without a binding it does nothing at all.

    https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#getting-started-with-validating-admission-policy
    """
    for policy in admissions:
        bindings = [
            binding
            for binding in overlay.of("ValidatingAdmissionPolicyBinding")
            if binding["spec"]["policyName"].text == policy.name.value
        ]
        if not bindings:
            yield Wrong(policy.name, f"nothing binds {policy.name.value}: it refuses nothing", "add a binding")
        for binding in bindings:
            actions = binding["spec"]["validationActions"]
            if "Deny" not in [action.text for action in actions.items()]:
                said = ", ".join(action.text for action in actions.items()) or "nothing"
                yield Wrong(actions.at, f"{policy.name.value} is bound with {said}: it refuses nothing", "write Deny")


CONTRACTS = (refuses,)
