"""Who is called by a name is there, can be reached, and is the one who is meant."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, contract_of_all, place
from handbook.facts import Fact, quantities, shell
from handbook.facts.deployment import Deployment, Facts
from handbook.facts.workload import Workload


@contract
def host(deployment: Deployment) -> Iterator[Wrong]:
    """The name that the proxy answers to is the one in the certificate's script, in walkthroughs and in redirects."""
    nginx = deployment.proxy.nginx
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
def upstreams(deployment: Deployment) -> Iterator[Wrong]:
    """What the proxy passes requests to is the service, in a network that both are in.

    https://docs.docker.com/compose/how-tos/networking/
    """
    nginx, service = deployment.proxy.nginx, deployment.service.workload
    for _, location in nginx.passing:
        for target in nginx.targets(location):
            host = target.value.host
            if quantities.is_ip(host) or not host:
                continue
            if host != service.name.value:
                message = f"the proxy asks {host}, the service is called {service.name.value} ({place(service.name)})"
                yield Wrong(target, message, "write the same name in both")
            elif not _meet(deployment.proxy.workload, service):
                yield Wrong(service.name, "proxy and service are in no network together", "put both in one")


@contract
def resolve(deployment: Deployment) -> Iterator[Wrong]:
    """A service with replicas is looked up again and again: a name looked up once at the start misses those that come.

    `resolve` needs `zone` and a `resolver`: https://nginx.org/en/docs/http/ngx_http_upstream_module.html#resolve
    """
    nginx = deployment.proxy.nginx
    for _, location in nginx.passing:
        for target in nginx.targets(location):
            if quantities.is_ip(target.value.host) or not target.value.host:
                continue
            again = any(upstream.resolves.get(target) for upstream in nginx.upstreams.values())
            if not again or nginx.resolver is None:
                message = f"{target.value.host} is looked up once, when nginx starts"
                yield Wrong(target, message, "use an upstream with `zone`, `resolve` and a `resolver`")


@contract
def database(deployment: Deployment) -> Iterator[Wrong]:
    """The host of the database is the database, in a network that it shares with everybody who asks it."""
    target = deployment.database.workload
    for service in deployment.services:
        asked = service.effective("database_host")
        if asked is None:
            yield Wrong(service.workload.name, "nothing says where the database is", "set DATABASE_HOST")
        elif asked.value != target.name.value:
            message = (
                f"the service asks {asked.value}, the database is called {target.name.value} ({place(target.name)})"
            )
            yield Wrong(asked, message, "write the same name in both")
        elif not _meet(service.workload, target):
            message = f"{service.workload.name.value} and {target.name.value} are in no network together"
            yield Wrong(service.workload.name, message, "put both in one")


@contract
def role(deployment: Deployment) -> Iterator[Wrong]:
    """The role and the database that the service asks for are those that are made, and those that are checked."""
    found = deployment.database
    made = {"database_user": found.made.roles, "database_name": found.made.databases}
    variables = {"database_user": "POSTGRES_USER", "database_name": "POSTGRES_DB"}
    options = {"database_user": "username", "database_name": "dbname"}
    for field, there in made.items():
        variable = found.workload.environment.get(variables[field])
        known = [*there, *([variable] if variable else [])]
        if not known:
            yield Wrong(found.workload.name, f"nothing makes what {field.upper()} names", "make it in an init script")
            continue
        asked = [value for service in deployment.services if (value := service.effective(field))]
        check = found.workload.health
        option = check.option(options[field]) if check else None
        asked += [check.test.having(option)] if check and option else []
        for value in asked:
            if value.value not in {fact.value for fact in known}:
                message = f"{value.value} is asked for, and {known[0].value} is made ({place(known[0])})"
                yield Wrong(value, message, "write the same name in both")


@contract_of_all
def files(facts: Facts) -> Iterator[Wrong]:
    """What a target mounts, reads and builds is in the repository: Docker makes an empty folder of a missing file.

    https://docs.docker.com/engine/storage/bind-mounts/
    """
    for deployment in facts.deployments:
        for need in deployment.needs:
            if need.value not in facts.files and not any(file.startswith(f"{need.value}/") for file in facts.files):
                yield Wrong(need, f"there is no {need.value}", "add it, or correct the path")


@contract
def inside(deployment: Deployment) -> Iterator[Wrong]:
    """Whatever is not the proxy is in internal networks only: from there nothing leads out and nothing in.

    https://docs.docker.com/reference/compose-file/networks/#internal
    """
    for workload in deployment.workloads:
        for name, internal in workload.networks.items():
            if workload is not deployment.proxy.workload and not internal.value:
                message = f"{workload.name.value} is in the network {name}, which is not internal"
                yield Wrong(internal, message, "use an internal one")


def _meet(one: Workload, other: Workload) -> bool:
    return bool(set(one.networks) & set(other.networks))


CONTRACTS = (host, upstreams, resolve, database, role, files, inside)
