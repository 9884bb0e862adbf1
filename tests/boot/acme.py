"""An authority that gives out certificates by ACME, in a host that has no other: pebble, which `tools/` pins.

What it does as a public one does: it fetches the challenge from port 80 of the name. The name stands in the host's
`/etc/hosts` in the place of public DNS, and certbot is told the address of its directory in certbot's own settings.
"""

import json

from handbook import go
from handbook.host import Host

DIRECTORY = "https://localhost:14000/dir"
DAYS = 90

_PLACE = "/root/acme"
_SETTINGS = {
    "pebble": {
        "listenAddress": "127.0.0.1:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": f"{_PLACE}/server.crt",
        "privateKey": f"{_PLACE}/server.key",
        "httpPort": 80,
        "tlsPort": 443,
        "keyAlgorithm": "ecdsa",
        "retryAfter": {"authz": 1, "order": 1},
        "profiles": {"default": {"description": "One as public authorities give", "validityPeriod": DAYS * 86400}},
    }
}
# Without these it waits, refuses some nonces for practice, and takes a name for proven that it has asked before.
_ENVIRONMENT = "--setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0 --setenv=PEBBLE_AUTHZREUSE=0"
_REQUEST = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30"
_START = f"""
cd {_PLACE}
{_REQUEST} -subj '/CN=CA of the ACME server' -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.crt
{_REQUEST} -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
  -CA ca.crt -CAkey ca.key -keyout server.key -out server.crt
cat >settings.json <<'END'
{json.dumps(_SETTINGS)}
END
systemd-run --quiet --unit=acme {_ENVIRONMENT} {_PLACE}/pebble -config {_PLACE}/settings.json
curl --cacert ca.crt --fail --silent --show-error --retry 50 --retry-delay 0 --retry-connrefused \
  --output root.crt https://localhost:15000/roots/0
cp ca.crt /usr/local/share/ca-certificates/acme-server.crt
cp root.crt /usr/local/share/ca-certificates/acme-root.crt
update-ca-certificates
cat root.crt
"""


def start(host: Host, name: str) -> str:
    """Start an authority in the host that finds `name` there, and let the host trust it. Return its root certificate.

    Raises HandbookError when it does not start.
    """
    host.copy([go.built("pebble")], _PLACE)
    host.run(f"echo '127.0.0.1 {name}' >>/etc/hosts")
    said = host.run(_START).stdout
    return said[said.index("-----BEGIN") :]
