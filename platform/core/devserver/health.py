"""How one sees from outside that a program is ready."""

import http.client

from celery import Celery

from core.devserver import ports

PATIENCE_SECONDS = 0.5


def serves(port: int, path: str) -> bool:
    """Tell whether a web server on this machine answers 200 there."""
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def hears(broker_url: str, node: str) -> bool:
    """Tell whether a worker of that name answers over the broker: a Celery fact, whatever the worker logs."""
    app = Celery(broker=broker_url, set_as_current=False)
    try:
        return bool(app.control.ping(destination=[node], timeout=PATIENCE_SECONDS))
    except app.connection_for_write().connection_errors:
        return False
    finally:
        app.close()
