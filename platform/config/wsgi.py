"""The web application for a threaded WSGI server: the API is synchronous, and ASGI was measured to cost half of it."""

import os
from importlib import import_module

from django.core.wsgi import get_wsgi_application

from core import database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

application = get_wsgi_application()
database.bound_connections()
import_module("config.warming").warm()   # before the server says that it is there; after the apps are
