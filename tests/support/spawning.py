"""Has a worker start its children as fresh interpreters instead of forking them."""

from config.celery import app

app.conf.worker_pool_start_method = "spawn"
