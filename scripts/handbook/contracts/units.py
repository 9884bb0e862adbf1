"""What systemd runs on a host is limited, may write where it writes, and is put there and taken away by scripts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from handbook.catalog import HOST_FOLDERS
from handbook.contracts import Wrong, contract, place
from handbook.facts import Fact
from handbook.facts.deployment import Deployment, Proxy, Service
from handbook.facts.hosts import INSTALL, UNINSTALL, Host
from handbook.facts.systemd import Kept, Unit, template_of

# Users and groups that Debian or its packages make: https://www.debian.org/doc/debian-policy/ch-opersys.html#users-and-groups
PACKAGED = {"root", "adm", "nogroup", "postgres", "redis", "systemd-journal", "www-data"}
# What programs are given by variables or options to write in; what they only read has other names.
_WRITTEN = re.compile(r"(?:[A-Z]+_)*(?:DIR|TMPDIR|REPOSITORY|HOME)")
_READ = ("SECRETS_DIR",)
_OPTION = re.compile(r"--(?:pidfile|statedb|schedule|logfile|data-dir)=(?P<path>/.*)")
# Where administrators put programs of their own: https://refspecs.linuxfoundation.org/FHS_3.0/fhs/ch04s09.html
_OWN = "/usr/local/"


@contract
def sockets(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """The proxy asks each instance, and may pass the folder of its socket, whose group is that of the proxy's user.

    To connect one needs to write to the socket and to search its folder:
    https://man7.org/linux/man-pages/man7/unix.7.html
    """
    proxy = deployment.proxy
    asked = {target.value.socket for target in proxy.nginx.asked} if proxy else set()
    for service in (*deployment.serving, *_tried(deployment)):
        bind = service.bind
        if not bind.value.socket:
            continue
        if bind.value.socket not in asked and service not in deployment.trials:
            yield Wrong(bind, f"the proxy does not ask {bind.value}", "name it in the proxy's upstream")
        if proxy:
            yield from _folder(host, proxy, bind.having(posixpath.dirname(bind.value.socket)))


def _folder(host: Host, proxy: Proxy, folder: Fact[str]) -> Iterator[Wrong]:
    user, kept = proxy.nginx.user, _kept(host, folder.value)
    if user is None:
        yield Wrong(Fact("", proxy.nginx.path, 1), "nothing says as whom the proxy runs", "write `user www-data;`")
    elif kept is None:
        yield Wrong(folder, f"nothing makes {folder.value} when the machine starts", "make it in tmpfiles.d")
    elif kept.value.group != user.value or not _may_pass(kept.value):
        message = f"the proxy runs as {user.value} ({place(user)}) and may not pass {folder.value}"
        yield Wrong(kept, message, f"write `0750` and the group {user.value}")


def _kept(host: Host, path: str) -> Fact[Kept] | None:
    return next((fact for fact in host.kept if fact.value.path == path), None)


def _may_pass(kept: Kept) -> bool:
    return kept.is_folder and bool(int(kept.mode.lstrip("~:") or "755", 8) & 0o010)


def _tried(deployment: Deployment) -> list[Service]:
    return [service for service in deployment.trials if not service.workload.command]


@contract
def users(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """No service runs as root, and every user and group that a unit or a line of tmpfiles.d names is made.

    https://www.freedesktop.org/software/systemd/man/257/systemd.exec.html#User=
    """
    there = PACKAGED | {fact.value.name for fact in host.users}
    for unit in host.services:
        dynamic, user = unit.value("DynamicUser"), unit.value("User")
        if user is None and (dynamic is None or dynamic.value != "yes"):
            yield Wrong(unit.at, f"{unit.name} runs as root", "give it a User=, or DynamicUser=yes")
        if user and user.value == "root":
            yield Wrong(user, f"{unit.name} runs as root", "give it a user of its own")
        for fact in filter(None, (user, unit.value("Group"))):
            if fact.value not in there:
                yield Wrong(fact, f"nothing makes {fact.value}", "make it in sysusers.d, or correct its name")
    for kept in host.kept:
        for name in dict.fromkeys((kept.value.user, kept.value.group)):
            if name not in there and not name.isdigit():
                yield Wrong(kept, f"nothing makes {name}", "make it in sysusers.d, or correct its name")


@contract
def writable(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """What a unit is told to write lies where it may write: `ProtectSystem=strict` makes everything else read-only.

    https://www.freedesktop.org/software/systemd/man/257/systemd.exec.html#ProtectSystem=
    """
    services = [*deployment.services, *deployment.trials]
    for unit in host.services:
        strict = unit.value("ProtectSystem")
        if strict is None or strict.value != "strict":
            yield Wrong(strict or unit.at, f"{unit.name} may write everywhere", "write `ProtectSystem=strict`")
        folders = [fact.value for fact in unit.writable]
        for path in _written(unit, host, services):
            if not any(path.value == folder or path.value.startswith(f"{folder}/") for folder in folders):
                message = f"{unit.name} writes {path.value}, and may not"
                yield Wrong(path, message, "name its folder in ReadWritePaths=, or ask for it (StateDirectory=)")


def _written(unit: Unit, host: Host, services: list[Service]) -> Iterator[Fact[str]]:
    """Every path that a unit is told to write, by its variables and by the options of its command."""
    service = next((each for each in services if each.workload.name.value == unit.name), None)
    for name, value in host.environment(unit).items():
        if value.value.startswith("/") and _WRITTEN.fullmatch(name) and name not in _READ:
            yield value
    if service and not service.workload.command and service.bind.value.socket:
        yield service.bind.having(service.bind.value.socket)
    for command in unit.commands():
        yield from (command.having(match["path"]) for word in command.value if (match := _OPTION.fullmatch(word)))


@contract
def credentials(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """What a unit loads as a credential is made, and a release on trial gets what its service reads.

    That the units which run for good get what they read is the business of `secrets.mounted`.
    https://www.freedesktop.org/software/systemd/man/257/systemd.exec.html#LoadCredential=ID:PATH
    """
    for unit in host.services:
        for source in unit.credentials.values():
            if not (host.makes(source.value) or posixpath.basename(source.value) in host.named):
                yield Wrong(source, f"nothing makes {source.value}", f"make it in {INSTALL}, or correct the path")
    for service in deployment.trials:
        paths = {service.secret_path(setting) for setting in service.secrets}
        for setting in service.secrets:
            path = service.secret_path(setting)
            if setting.required and path not in service.workload.secrets:
                message = f"{service.workload.name.value} does not get {path}, which {place(setting.name)} needs"
                yield Wrong(service.workload.name, message, "load the credential, and write SECRETS_DIR=%d")
            value = service.variable(setting.name.value)
            # Of what the others have, too, `secrets.plain` has said so.
            if value and all(each.variable(setting.name.value) != value for each in deployment.services):
                yield Wrong(value, f"{setting.name.value} is a secret and stands in the environment", "load it")
        for path, source in service.workload.secrets.items():
            if path not in paths and paths <= set(service.workload.secrets):
                message = f"{service.workload.name.value} gets {path} and does not read it"
                yield Wrong(source, message, "take it away, or correct its name")


@contract
def limits(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """No service can take the machine with it, and that one has failed is told; one that runs on is started again.

    Without start limits that fit to RestartSec= a service is started for ever, and never counts as failed:
    https://www.freedesktop.org/software/systemd/man/257/systemd.unit.html#StartLimitIntervalSec=interval
    """
    alarms = {template_of(word.value) for unit in host.services for word in unit.words("OnFailure")}
    running = {unit.name for unit in host.running}
    for unit in host.services:
        for key in ("MemoryMax", "TasksMax"):
            found = unit.value(key)
            if found is None or found.value == "infinity":
                yield Wrong(found or unit.at, f"{unit.name} has no {key}=", "limit it")
        # Who starts one by hand sees what becomes of it.
        if unit.name in running and template_of(unit.name) not in alarms and not unit.words("OnFailure"):
            yield Wrong(unit.at, f"nobody is told that {unit.name} has failed", "name what tells it in OnFailure=")
        if unit.name in running and not unit.runs_once:
            yield from _restarts(unit)


def _restarts(unit: Unit) -> Iterator[Wrong]:
    restart = unit.value("Restart")
    if restart is None or restart.value not in ("on-failure", "always"):
        yield Wrong(restart or unit.at, f"{unit.name} is not started again", "write `Restart=on-failure`")
    interval, burst = unit.seconds("StartLimitIntervalSec", "Unit"), unit.value("StartLimitBurst", "Unit")
    if interval is None or burst is None or not interval.value:
        message = f"{unit.name} is started again for ever"
        yield Wrong(interval or unit.at, message, "set StartLimitIntervalSec= and StartLimitBurst=")


@contract
def named(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """Units of the host's own that a unit names are there, and what it wants before it has begun, it also waits for.

    systemd ignores a name in Wants= and After= that it does not know:
    https://www.freedesktop.org/software/systemd/man/257/systemd.unit.html#Wants=
    """
    own = {name.partition(".")[0] for name in host.units.targets}
    for unit in host.units.all:
        for key in ("Wants", "Requires", "After", "Before", "PartOf", "OnFailure"):
            for word in unit.words(key):
                is_own = any(word.value.startswith((f"{name}.", f"{name}-")) for name in own)
                if is_own and not host.units.has_file(word.value):
                    yield Wrong(word, f"there is no unit {word.value}", "add it, or correct its name")
        after = {word.value for word in unit.words("After")}
        for word in (*unit.words("Wants"), *unit.words("Requires")):
            wanted = host.units.unit(word.value)
            if unit.is_service and wanted and wanted.runs_once and word.value not in after:
                yield Wrong(word, f"{unit.name} does not wait for the end of {word.value}", "write it in After=, too")


@contract
def timers(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """Each timer is started with the rest of the service: one that nothing starts never rings, and nobody is told."""
    started = {unit.name for unit in host.units.start(*host.units.targets)}
    for unit in host.units.all:
        if unit.name.endswith(".timer") and unit.name not in started:
            yield Wrong(unit.at, f"no target of its own wants {unit.name}", "name it in Wants= of the target")


@contract
def installed(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """Every file for systemd is put where systemd looks for it, and what units read and run there is put there, too."""
    for file in host.files:
        above, _, rest = file.removeprefix(f"{host.folder}/").partition("/")
        target = f"{HOST_FOLDERS.get(above, '')}/{rest}"
        if above in HOST_FOLDERS and host.in_repository(target) != file:
            yield Wrong(Fact("", file, 0), f"no script puts it to {target}", f"put it there in {INSTALL}")
    for unit in host.services:
        for path in unit.environment_files:
            if path.value not in host.put:
                yield Wrong(path, f"no script puts a file to {path.value}", f"put it there in {INSTALL}")
        for command in unit.commands():
            for word in command.value:
                if word.startswith(_OWN) and word not in host.put:
                    yield Wrong(command, f"no script puts a file to {word}", f"put it there in {INSTALL}")


@contract
def removed(deployment: Deployment, host: Host) -> Iterator[Wrong]:
    """What one script installs, the folders that are made for good, and the users are taken away by the other one."""
    if not host.removed:
        yield Wrong(host.installer, f"no {UNINSTALL} takes away what this makes", "add one")
        return
    made = [fact.having(path) for path, fact in host.put.items() if fact.path == host.installer.path]
    made += [fact.having(fact.value.path) for fact in host.kept]
    made += [fact for unit in host.services for fact in unit.folders.values() if not fact.value.startswith("/run/")]
    for path in made:
        if not any(fact.value.covers(path.value) for fact in host.removed):
            yield Wrong(path, f"{UNINSTALL} leaves {path.value}", "remove it there")
    for user in host.users:
        if user.value.name not in host.removing:
            yield Wrong(user, f"{UNINSTALL} leaves the user {user.value.name}", "remove it there")


CONTRACTS = (sockets, users, writable, credentials, limits, named, timers, installed, removed)
