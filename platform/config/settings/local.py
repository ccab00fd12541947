"""A developer's machine: embedded services, a key that is made once, and a page for each error."""

from config.settings import base
from config.settings.base import *  # noqa: F403  an environment is the base with a few names changed below
from core.devserver import mails, ports, secrets

DEBUG = base.ENV.DEBUG
SECRET_KEY = base.ENV.SECRET_KEY or secrets.secret_key(base.ENV.DATA_DIR)
SEAL_KEYS = base.SEAL_KEYS or secrets.seal_keys(base.ENV.DATA_DIR)
OUTGOING_ALLOW_PRIVATE = base.ENV.OUTGOING_ALLOW_PRIVATE is not False   # what it may call is this machine's own
ALLOWED_HOSTS = base.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
if not base.ENV.EMAIL_URL:   # what `make up` starts: its mails are read at /mails
    MAILS_DIR = base.ENV.DATA_DIR / mails.FOLDER
    if port := ports.noted(base.ENV.DATA_DIR, "mail"):
        EMAIL_HOST, EMAIL_PORT = ports.HOST, port
