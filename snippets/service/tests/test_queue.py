import pytest
from celery.app.defaults import DEFAULTS

from assistant import queue
from assistant.settings import WorkSettings, load
from conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("required_settings")


def test_the_password_is_sent_though_celery_reads_the_variable_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "redis://broker:6379/0")
    # What the command `celery` makes of it.
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker:6379/0")
    app = queue.connect(load(WorkSettings))
    for connection in (app.connection_for_read(), app.connection_for_write()):
        assert (connection.userid, connection.password) == ("assistant", PASSWORD)
        assert connection.hostname == "broker"


def test_each_time_limit_is_longer_than_the_one_before() -> None:
    settings = load(WorkSettings)
    conf = queue.connect(settings).conf
    limits = [
        conf.task_soft_time_limit,
        conf.task_time_limit,
        conf.broker_transport_options["visibility_timeout"],
        queue.resend_after(settings).total_seconds(),
    ]
    assert limits == sorted(limits)
    assert len(set(limits)) == len(limits)


def test_a_message_outlives_its_worker_and_carries_no_code() -> None:
    conf = queue.connect(load(WorkSettings)).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"]


def test_celery_knows_every_setting() -> None:
    conf = queue.connect(load(WorkSettings)).conf
    assert conf.task_acks_late
    assert set(conf.changes or ()) - {"deprecated_settings"} <= DEFAULTS.keys()
