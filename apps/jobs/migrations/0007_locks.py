"""The lock that a job asks for, and whether it stands behind another job that asks for the same."""

from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False   # indexes are built while jobs go on

    dependencies = [
        ('jobs', '0006_failures'),
    ]

    operations = [
        migrations.AddField('job', 'lock_key', models.TextField(null=True)),
        migrations.AddField('job', 'behind', models.BooleanField(db_default=False, default=False)),
        migrations.AddField('job', 'lock_token', models.BigIntegerField(null=True)),
        migrations.AlterField('jobattempt', 'outcome', models.TextField(choices=[('completed', 'Completed'), ('failed', 'Failed'), ('timed_out', 'Timed Out'), ('discarded', 'Discarded'), ('cancelled', 'Cancelled'), ('worker_lost', 'Worker Lost'), ('snoozed', 'Snoozed'), ('stopped', 'Stopped'), ('released', 'Released'), ('lock_busy', 'Lock Busy'), ('lock_lost', 'Lock Lost')])),
        AddConstraintNotValid(
            'job',
            models.CheckConstraint(
                condition=models.Q(('behind', False), models.Q(('lock_key__isnull', False), models.Q(('status', 'running'), _negated=True)), _connector='OR'),
                name='job_behind_has_a_lock',
            ),
        ),
        ValidateConstraint('job', 'job_behind_has_a_lock'),
        # The old index serves until the new one stands.
        AddIndexConcurrently(
            'job',
            models.Index(models.F('queue'), models.F('behind'), models.F('priority'), models.F('run_at'), models.F('id'), condition=models.Q(('status', 'queued')), name='job_ready_new'),
        ),
        RemoveIndexConcurrently('job', 'job_ready'),
        migrations.RenameIndex('job', old_name='job_ready_new', new_name='job_ready'),
        AddIndexConcurrently(
            'job',
            models.Index(models.F('lock_key'), condition=models.Q(('behind', False), ('finished_at__isnull', True), ('lock_key__isnull', False)), name='job_lock_head'),
        ),
        AddIndexConcurrently(
            'job',
            models.Index(models.F('lock_key'), models.F('run_at'), models.F('id'), condition=models.Q(('behind', True), ('status', 'queued')), name='job_lock_line'),
        ),
    ]
