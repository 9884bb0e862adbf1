"""Who is called by a name is there, can be reached, and is the one who is meant."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, contract_of_all, place
from handbook.facts import Fact, quantities, shell
from handbook.facts.deployment import Database, Deployment, Facts, Proxy
from handbook.facts.workload import Workload

PROVIDER = "provider_url"


@contract
def host(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """The name that the proxy answers to is the one in the certificate's script, in walkthroughs and in redirects."""
    nginx = proxy.nginx
    if not deployment.hosts:
        yield Wrong(Fact("", nginx.path, 1), "the proxy answers to no name", "give its server a server_name")
        return
    told = [host for script in deployment.scripts for host in script.hosts]
    told += [
        server.redirects_to.having(target)
        for server in nginx.servers
        if server.redirects_to and (target := shell.host_of(server.redirects_to.value))
    ]
    for name in told:
        if name.value not in deployment.hosts:
            message = f"{name.value} is asked, the proxy answers to {', '.join(sorted(deployment.hosts))}"
            yield Wrong(name, message, "write the same name in both")


@contract
def upstreams(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """What the proxy passes requests to is the service, by a name of it, in a network that both are in.

    Which Unix socket is asked is the business of `ports.upstream`; that two containers see one is not read here.
    https://docs.docker.com/compose/how-tos/networking/
    """
    nginx, service = proxy.nginx, deployment.service.workload
    for _, location in nginx.passing:
        for target in nginx.targets(location):
            host, known = target.value.host, target.value.host in service.reachable_as
            # Whose address an IP is can't be read, but a loopback is one's own.
            elsewhere = quantities.is_ip(host) and not target.value.is_loopback
            if target.value.socket or (elsewhere and not known):
                continue
            if not known:
                message = f"the proxy asks {host}, {_reached(service)}"
                yield Wrong(target, message, "write a name by which it is reached")
            elif not proxy.workload.meets(service):
                yield Wrong(service.name, "proxy and service are in no network together", "put both in one")


@contract
def resolve(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """A service with replicas is looked up again and again: a name looked up once at the start misses those that come.

    `resolve` needs `zone` and a `resolver`: https://nginx.org/en/docs/http/ngx_http_upstream_module.html#resolve
    """
    nginx = proxy.nginx
    for _, location in nginx.passing:
        for target in nginx.targets(location):
            if target.value.is_loopback or quantities.is_ip(target.value.host):
                continue
            again = any(upstream.resolves.get(target) for upstream in nginx.upstreams.values())
            if not again or nginx.resolver is None:
                message = f"{target.value.host} is looked up once, when nginx starts"
                yield Wrong(target, message, "use an upstream with `zone`, `resolve` and a `resolver`")


@contract
def database(deployment: Deployment, database: Database) -> Iterator[Wrong]:
    """The host of the database is the database, in a network that it shares with everybody who asks it."""
    target = database.workload
    for service in deployment.services:
        asked = service.effective("database_host")
        if asked is None:
            yield Wrong(service.workload.name, "nothing says where the database is", "set DATABASE_HOST")
        elif asked.value not in target.reachable_as:
            yield Wrong(
                asked, f"the service asks {asked.value}, {_reached(target)}", "write a name by which it is reached"
            )
        elif not service.workload.meets(target):
            message = f"{service.workload.name.value} and {target.name.value} are in no network together"
            yield Wrong(service.workload.name, message, "put both in one")


@contract
def role(deployment: Deployment, database: Database) -> Iterator[Wrong]:
    """The role and the database that the service asks for are those that are made, and those that are checked."""
    made = {"database_user": database.made.roles, "database_name": database.made.databases}
    variables = {"database_user": "POSTGRES_USER", "database_name": "POSTGRES_DB"}
    options = {"database_user": "username", "database_name": "dbname"}
    for field, there in made.items():
        variable = database.workload.environment.get(variables[field])
        known = [*there, *([variable] if variable else [])]
        if not known:
            yield Wrong(
                database.workload.name, f"nothing makes what {field.upper()} names", "make it in an init script"
            )
            continue
        asked = [value for service in deployment.services if (value := service.effective(field))]
        check = database.workload.health
        option = check.option(options[field]) if check else None
        asked += [check.test.having(option)] if check and option else []
        for value in asked:
            if value.value not in {fact.value for fact in known}:
                message = f"{value.value} is asked for, and {known[0].value} is made ({place(known[0])})"
                yield Wrong(value, message, "write the same name in both")


@contract_of_all
def files(facts: Facts) -> Iterator[Wrong]:
    """What a target mounts, reads and builds is in the repository, or a script beside the target makes it.

    Docker makes an empty folder of a missing file: https://docs.docker.com/engine/storage/bind-mounts/
    """
    for deployment in facts.deployments:
        for need in deployment.needs:
            if shell.makes(deployment.scripts, need.value):
                continue
            if need.value not in facts.files and not any(file.startswith(f"{need.value}/") for file in facts.files):
                yield Wrong(need, f"there is no {need.value}", "add it, or correct the path")


@contract
def inside(deployment: Deployment, proxy: Proxy, networks: set[str]) -> Iterator[Wrong]:
    """Only the proxy, the service, to ask a provider, and who holds nothing are in networks that are not internal.

    From an internal one nothing leads out and nothing in, and the service is not in the one by which the proxy is
    reached: https://docs.docker.com/reference/compose-file/networks/#internal
    """
    service = deployment.service.workload
    for workload in deployment.workloads:
        for name, internal in workload.networks.items():
            if workload is proxy.workload or internal.value:
                continue
            asks = workload is service and deployment.asked(PROVIDER)
            if not asks and (workload.secrets or workload.volumes):
                message = f"{workload.name.value} is in the network {name}, which is not internal"
                yield Wrong(internal, message, "use an internal one")
            elif name in proxy.workload.networks:
                message = f"{workload.name.value} is in the network {name}, by which the proxy is reached"
                yield Wrong(internal, message, "use another one")


@contract
def provider(deployment: Deployment) -> Iterator[Wrong]:
    """A provider that is part of the target is asked by a name of it, on a port of it, in a network that both are in.

    A name with a dot is somebody else's.
    """
    url, service = deployment.asked(PROVIDER), deployment.service.workload
    host = url.value.hostname if url else None
    if url is None or host is None or "." in host:
        return
    target = deployment.behind(PROVIDER)
    if target is None:
        names = " or ".join(sorted(workload.name.value for workload in deployment.workloads))
        yield Wrong(url, f"the service asks {host}, and there are {names}", "write a name by which it is reached")
        return
    if not service.meets(target):
        yield Wrong(service.name, f"service and {target.name.value} are in no network together", "put both in one")
    image = deployment.dockerfiles.get(target.name.value)
    for port in image.exposed if image else ():
        if port.value != (url.value.port or 80):
            message = f"the service asks port {url.value.port or 80}, the image of {target.name.value} has {port.value}"
            yield Wrong(url, f"{message} ({place(port)})", "write the same port in both")


def _reached(workload: Workload) -> str:
    known = " or ".join(sorted(workload.reachable_as)) or "no name"
    return f"{workload.name.value} is reached as {known} ({place(workload.name)})"


@contract
def reloadable(deployment: Deployment, proxy: Proxy, networks: set[str]) -> Iterator[Wrong]:
    """The proxy gets the folder of its configuration: a mounted file stays what it was, and a reload sees no other one.

    https://docs.docker.com/engine/storage/bind-mounts/
    """
    for mount in proxy.workload.mounts:
        if mount.value.source == proxy.nginx.path:
            message = f"{mount.value.target} is mounted as a file: a reload does not see what takes its place"
            yield Wrong(mount, message, "mount the folder that it lies in")


CONTRACTS = (host, upstreams, resolve, database, role, files, inside, provider, reloadable)
