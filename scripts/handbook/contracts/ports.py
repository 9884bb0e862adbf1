"""One port from the proxy to the service, and none beside the proxy."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, place
from handbook.facts import Fact
from handbook.facts.deployment import Database, Deployment, Proxy
from handbook.facts.quantities import Address, whole
from handbook.facts.workload import Workload


@contract
def upstream(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """What the proxy passes requests to is the port, or the Unix socket, that the service listens on.

    https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server
    """
    nginx, bind = proxy.nginx, deployment.service.bind
    bound = {(each.bind.value.port, each.bind.value.socket) for each in deployment.serving}
    targets = nginx.asked
    if not targets:
        yield Wrong(Fact("", nginx.path, 1), "the proxy passes no request to the service", "add a proxy_pass")
    for target in targets:
        if (target.value.port, target.value.socket) not in bound:
            message = f"the proxy asks {target.value}, the service listens on {bind.value} ({place(bind)})"
            yield Wrong(target, message, f"write the same {'socket' if bind.value.socket else 'port'} in both")


@contract
def bind(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """A service that the proxy reaches by a name listens on more than its own loopback or a socket.

    https://docs.docker.com/engine/network/: every container has a loopback of its own.
    """
    nginx, bound = proxy.nginx, deployment.service.bind
    remote = any(not t.value.is_loopback for _, location in nginx.passing for t in nginx.targets(location))
    if remote and bound.value.is_loopback:
        yield Wrong(
            bound, f"the proxy can't reach {bound.value}, where the service listens", "listen on 0.0.0.0 in a container"
        )


@contract
def exposed(deployment: Deployment, image: Fact[str]) -> Iterator[Wrong]:
    """The image exposes the port that the service listens on: tools and people read EXPOSE as its address.

    https://docs.docker.com/reference/dockerfile/#expose
    """
    service = deployment.service
    if service.dockerfile is None or service.bind.value.socket:
        return
    ports = service.dockerfile.exposed
    if not ports:
        at = Fact("", service.dockerfile.path, 1)
        yield Wrong(at, "the image exposes no port", f"add EXPOSE {service.bind.value.port}")
    for port in ports:
        if port.value != service.bind.value.port:
            message = f"the image exposes {port.value}, the service listens on {service.bind.value.port}"
            yield Wrong(port, f"{message} ({place(service.bind)})", "write the same port in both")


@contract
def published(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """Only the proxy publishes ports, and only those it listens on; on one host all others listen on its loopback.

    A port beside it goes around TLS, limits and headers, and Docker opens it through the host's firewall; a fixed one
    also stops the second replica: https://docs.docker.com/engine/network/packet-filtering-firewalls/
    """
    if deployment.networks is None:
        yield from _open_on_host(deployment, proxy)
        return
    if not proxy.workload.ports:
        yield Wrong(proxy.workload.name, "the proxy publishes no port", "publish 443")
    for workload in deployment.workloads:
        for port in workload.ports:
            if workload is not proxy.workload:
                message = f"{workload.name.value} publishes port {port.value.target}, around the proxy"
                yield Wrong(port, message, "take the port away: inside, workloads reach each other without it")
            elif not any(server.is_public for server in proxy.nginx.listening(port.value.target)):
                message = f"port {port.value.target} is published and {proxy.nginx.path} does not listen on it"
                yield Wrong(port, message, "listen on it, or publish another")


def _open_on_host(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    if not any(server.is_public for server in proxy.nginx.servers):
        yield Wrong(proxy.workload.name, "the proxy can't be reached from elsewhere", "listen on 443")
    listening = [(deployment.service.workload, deployment.service.bind)]
    if database := deployment.database:
        hosts, port = database.flag("listen_addresses"), database.flag("port").read(whole).value
        for host in filter(None, map(str.strip, hosts.value.split(","))):
            listening.append((database.workload, hosts.having(Address("" if host == "*" else host, port))))
    for workload, bound in listening:
        if not bound.value.is_loopback:
            message = f"{workload.name.value} listens on {bound.value}, around the proxy"
            yield Wrong(bound, message, "listen on 127.0.0.1 or a Unix socket")


@contract
def asked(deployment: Deployment) -> Iterator[Wrong]:
    """Health checks and walkthroughs ask ports where somebody listens."""
    for workload, request in _inside(deployment):
        if request.value.port not in _ports(deployment, workload):
            message = f"port {request.value.port} is asked in {workload.name.value}, which does not listen on it"
            yield Wrong(request, message, f"ask one of {_ports(deployment, workload)}")
    for script in deployment.scripts:
        for asked in script.requests:
            port = asked.value.address.port
            if asked.value.inside is None and port not in _open(deployment, asked.value.address):
                yield Wrong(asked, f"port {port} is asked from outside and not published", "ask a published port")


def _inside(deployment: Deployment) -> Iterator[tuple[Workload, Fact[Address]]]:
    """Every request that is made inside of a workload to itself."""
    for workload in deployment.workloads:
        checks = deployment.service.health if workload is deployment.service.workload else [workload.health]
        for check in checks:
            for request in check.requests if check else ():
                if request.value.address.is_loopback:
                    yield workload, request.having(request.value.address)
    for script in deployment.scripts:
        for request in script.requests:
            inside = deployment.workload(request.value.inside) if request.value.inside else None
            if inside and request.value.address.is_loopback:
                yield inside, request.having(request.value.address)


def _open(deployment: Deployment, asked: Address) -> set[int | None]:
    """The ports that can be asked from outside; on one host those of its loopback, too, for whoever is logged in."""
    proxy = deployment.proxy
    if deployment.networks is None:
        if asked.is_loopback:
            return {port for workload in deployment.workloads for port in _ports(deployment, workload)}
        servers = proxy.nginx.servers if proxy else []
        return {listen.value.port for server in servers if server.is_public for listen in server.listens}
    workloads = [proxy.workload] if proxy else deployment.workloads
    return {port.value.published for workload in workloads for port in workload.ports}


def _ports(deployment: Deployment, workload: Workload) -> list[int]:
    """The ports that a workload listens on."""
    if workload is deployment.service.workload:
        port = deployment.service.bind.value.port
        return [port] if port else []
    if deployment.proxy and workload is deployment.proxy.workload:
        listens = [listen.value.port for server in deployment.proxy.nginx.servers for listen in server.listens]
        return sorted({port for port in listens if port})
    return []


@contract
def database(deployment: Deployment, database: Database) -> Iterator[Wrong]:
    """The service asks the port that the database listens on.

    https://www.postgresql.org/docs/18/runtime-config-connection.html#GUC-PORT
    """
    listens = database.flag("port").read(whole)
    for service in deployment.services:
        asked = service.number("database_port")
        if asked is None:
            yield Wrong(service.workload.name, "nothing says the port of the database", "set DATABASE_PORT")
        elif asked.value != listens.value:
            message = f"the service asks port {asked.value:.0f}, the database listens on {listens.value}"
            yield Wrong(asked, f"{message} ({place(listens)})", "write the same port in both")


CONTRACTS = (upstream, bind, exposed, published, asked, database)
