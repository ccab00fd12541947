"""Failures by time, for the report of them."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False   # the index is built while jobs go on

    dependencies = [
        ('jobs', '0005_bulk'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='jobattempt',
            index=models.Index(models.F('finished_at'), models.F('id'), condition=models.Q(('outcome__in', ('failed', 'timed_out', 'discarded', 'worker_lost'))), name='job_attempt_failed'),
        ),
    ]
