"""Does to a booted stack what goes wrong in real life, and returns what one sees of it."""

import contextlib
import copy
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook import tools
from handbook.stacks import Boot

from .client import wait_for
from .operate import operate
from .prepared import prepare

# Those that have no children: init has gunicorn, and that has the worker.
_WORKERS = """
import os
pids = {pid for pid in os.listdir("/proc") if pid.isdigit()}
parents = {open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1] for pid in pids}
workers = pids - parents - {str(os.getpid())}
"""
# The kernel is told to take the workers first. It may take what asks for the memory, too, when that asks on too fast.
EATER = """
import os
for pid in workers:
    with open(f"/proc/{pid}/oom_score_adj", "w") as score:
        score.write("1000")
eaten = []
while all(os.path.exists(f"/proc/{pid}/exe") for pid in workers):
    eaten.append(b"x" * 2**23)
"""

_AUTHORITY = """
[ca]
default_ca = authority
[authority]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = names
copy_extensions = copy
[names]
commonName = supplied
"""


def start(boot: Boot, *options: str, last: tuple[str, ...] = ()) -> str:
    """Start the stack as its walkthrough does, which has to fail, and return what is printed."""
    command = ["docker", "compose", *options, "up", "--detach", "--wait", "--wait-timeout", "120", *last]
    started = tools.run(command, cwd=boot.folder, env=boot.env, timeout=120)
    assert started.returncode, "it starts"
    return started.stdout + started.stderr


def start_unprepared(boot: Boot) -> str:
    """Start a copy of the stack, under a name of its own, in which nobody ran `prepare.sh`."""
    folder = boot.stack.unpack(boot.scratch / "unprepared")
    project = ["--project-directory", str(folder), "--project-name", f"{boot.project}-unprepared"]
    files = ["--file", str(folder / "compose.yaml"), "--file", str(boot.overlay)]
    try:
        return start(boot, *project, *files)
    finally:
        tools.run(["docker", "compose", *project, *files, "down", "--volumes"], cwd=boot.folder, env=boot.env)


def publish(boot: Boot, port: int) -> str:
    """Start one more of the stack's nginx on a port that is taken, and return what is printed."""
    name = f"{boot.project}-second-nginx"
    options = ["--detach", "--name", name, "--no-deps", "--no-TTY", f"--publish=127.0.0.1:{port}:8080"]
    try:
        begun = tools.run(["docker", "compose", "run", *options, "nginx"], cwd=boot.folder, env=boot.env, timeout=30)
    finally:
        tools.run(["docker", "rm", "--force", "--volumes", name])
    assert begun.returncode, "nginx starts"
    return begun.stdout + begun.stderr


@contextlib.contextmanager
def new_secret(boot: Boot) -> Iterator[None]:
    """Lose the password of the database and let `prepare.sh` make another one, while the volume knows the old one."""
    secret = boot.folder / "secrets" / "database_password"
    kept = secret.rename(boot.scratch / "database_password")
    try:
        assert "made  secrets/database_password" in prepare(boot.folder).stdout
        yield
    finally:
        kept.replace(secret)


def run_with_secret(boot: Boot, secret: Path) -> str:
    """Start the service with the file `secret` as its password, which it has to refuse, and return what it says."""
    name = f"{boot.project}-other-secret"
    image = boot.containers("service")[0]["Config"]["Image"]
    options = ["--name", name, "--network=none", "--read-only", f"--env-file={boot.folder / 'service.env'}"]
    volume = f"--volume={secret}:/run/secrets/database_password:ro"
    try:
        refused = tools.run(["docker", "run", *options, volume, image], timeout=15)
    finally:
        tools.run(["docker", "rm", "--force", "--volumes", name])
    said = refused.stdout + refused.stderr
    assert refused.returncode not in (0, 137), said
    assert "Traceback" not in said, said
    return said


def exhaust_memory(boot: Boot) -> None:
    """Use up the memory of the first replica until the kernel ends its worker."""
    tools.run(["docker", "exec", f"{boot.project}-service-1", "python", "-c", _WORKERS + EATER], timeout=30)


def expired_certificate(boot: Boot, folder: Path) -> Path:
    """Make a certificate of the stack's own CA that has expired, in `folder`, and return the folder."""
    ca = boot.folder / "secrets" / "ca"
    (folder / "index").touch()
    (folder / "ca.cnf").write_text(_AUTHORITY)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "tls.key"]
    names = ["-subj", "/CN=api.example.com", "-addext", "subjectAltName=DNS:api.example.com"]
    request = ["req", "-new", *key, *names, "-out", "tls.csr"]
    dates = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"]
    authority = ["-config", "ca.cnf", "-cert", str(ca / "ca.crt"), "-keyfile", str(ca / "ca.key")]
    sign = ["ca", "-batch", "-notext", *authority, *dates, "-in", "tls.csr", "-out", "tls.crt"]
    for command in (request, sign):
        made = tools.run(["openssl", *command], cwd=folder)
        assert made.returncode == 0, made.stderr
    (folder / "tls.key").chmod(0o444)
    folder.chmod(0o755)
    return folder


def verify_certificate_for(name: str, folder: Path, scratch: Path) -> str:
    """Sign a certificate for `name` with the CA of a prepared folder, and return why it is refused."""
    ca = folder / "secrets" / "ca"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "other.key"]
    sign = ["-CA", str(ca / "ca.crt"), "-CAkey", str(ca / "ca.key"), "-subj", "/CN=other"]
    names = ["-addext", f"subjectAltName={name}", "-out", "other.crt"]
    made = tools.run(["openssl", "req", "-x509", *key, *sign, *names], cwd=scratch)
    assert made.returncode == 0, made.stderr
    verified = tools.run(["openssl", "verify", "-CAfile", str(ca / "ca.crt"), "other.crt"], cwd=scratch)
    assert verified.returncode, f"a certificate for {name} verifies"
    return verified.stderr


def half_made_database(boot: Boot) -> str:
    """Start a database of its own whose first start made nothing, and return its log.

    It answers, and the stack's health check has to be red nevertheless.
    """
    kind, *check = boot.containers("postgres")[0]["Config"]["Healthcheck"]["Test"]
    command = ["sh", "-c", *check] if kind == "CMD-SHELL" else check
    with lone_database(boot) as name:
        wait_for(lambda: answers(name), "the database answers")
        assert tools.run(["docker", "exec", name, *command]).returncode, "the health check is green"
        return log_of(name)


def talkative_database(boot: Boot, scratch: Path, password: str, before: str) -> str:
    """Start a database of its own that logs every statement, let it make what the stack's makes, and return its log.

    `before` is SQL that runs before the stack's own script.
    """
    (scratch / "password").write_text(f"{password}\n")
    (scratch / "before.sql").write_text(before)
    for path in scratch.iterdir():
        path.chmod(0o444)
    script = boot.folder.parents[1] / "postgres" / "init" / "assistant.sh"
    mounts = {
        scratch / "password": "/run/secrets/database_password",
        scratch / "before.sql": "/docker-entrypoint-initdb.d/a.sql",
        script: "/docker-entrypoint-initdb.d/b.sh",
    }
    volumes = [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
    logged = ["-c", "log_statement=all", "-c", "log_min_duration_statement=0"]
    with lone_database(boot, *volumes, command=["postgres", *logged]) as name:
        # It stops by itself when the script fails.
        wait_for(lambda: answers(name) or not runs(name), "the database is made")
        return log_of(name)


@contextlib.contextmanager
def lone_database(boot: Boot, *options: str, command: Sequence[str] = ()) -> Iterator[str]:
    """A container with the stack's PostgreSQL, which nothing reaches and which keeps nothing; yields its name."""
    name = f"{boot.project}-lone-database"
    alone = ["--name", name, "--network=none", "--user=999:999", "--env=POSTGRES_PASSWORD=of-no-use"]
    alone += ["--tmpfs=/var/lib/postgresql:uid=999,gid=999", "--env=POSTGRES_INITDB_ARGS=--no-sync"]
    image = boot.containers("postgres")[0]["Config"]["Image"]
    try:
        begun = tools.run(["docker", "run", "--detach", *alone, *options, image, *command])
        assert begun.returncode == 0, begun.stderr
        yield name
    finally:
        tools.run(["docker", "rm", "--force", "--volumes", name])


def answers(name: str) -> bool:
    """Whether the database in a container answers: it does not while it is being made."""
    return tools.run(["docker", "exec", name, "pg_isready", "--quiet", "--host=127.0.0.1"]).returncode == 0


def log_of(name: str) -> str:
    log = tools.run(["docker", "logs", name])
    return log.stdout + log.stderr


def runs(name: str) -> bool:
    return tools.run(["docker", "inspect", "--format", "{{.State.Running}}", name]).stdout.strip() == "true"


def curl(boot: Boot, *arguments: str) -> str:
    """Run curl with the options of the walkthrough, which has to fail, and return what is printed."""
    program = shutil.which("curl") or "curl"
    ran = tools.run(
        [program, *arguments, "--fail-with-body", "--silent", "--show-error"],
        cwd=boot.folder,
        env={**boot.env, "no_proxy": "*"},
    )
    assert ran.returncode, f"curl succeeds: {ran.stdout}"
    return ran.stdout + ran.stderr


def lonely_worker(boot: Boot) -> tuple[str, str]:
    """Start a worker under a project of its own, where there is no broker; then start one, and see it healthy.

    Returns what starting the worker alone prints, and what its health check says.
    """
    lonely = copy.copy(boot)
    lonely.project = f"{boot.project}-lonely"
    lonely.env = {**boot.env, "COMPOSE_PROJECT_NAME": lonely.project}
    try:
        printed = start(lonely, last=("--no-deps", "worker"))
        said = operate(lonely, "see-what-the-health-checks-say")
        lonely.compose("up", "--detach", "--no-deps", "broker")
        wait_for(lambda: "worker-1 healthy" in operate(lonely, "see-what-the-health-checks-say"), "it is healthy", 90)
    finally:
        tools.run(["docker", "compose", "down", "--volumes", "--timeout=1"], cwd=lonely.folder, env=lonely.env)
    return printed, said
