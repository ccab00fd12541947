"""Actions on all jobs that match, and jobs found by their unique key after they have ended."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False   # the index is built while jobs go on

    dependencies = [
        ('jobs', '0004_artifacts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Bulk',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('action', models.TextField()),
                ('selection', models.JSONField()),
                ('actor', models.JSONField()),
                ('reason', models.TextField()),
                ('created_at', models.DateTimeField()),
                ('begun_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('total', models.BigIntegerField(null=True)),
                ('done', models.BigIntegerField(default=0)),
                ('refused', models.BigIntegerField(default=0)),
                ('refusals', models.JSONField(default=list)),
                ('place_at', models.DateTimeField(null=True)),
                ('place_id', models.UUIDField(null=True)),
            ],
            options={
                'db_table': 'job_bulk',
                'verbose_name': 'bulk action',
            },
        ),
        migrations.AlterModelOptions(
            name='jobattempt',
            options={'verbose_name': 'attempt'},
        ),
        migrations.AlterModelOptions(
            name='stalewrite',
            options={'verbose_name_plural': 'stale ledger'},
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(models.F('unique_key'), models.F('created_at'), models.F('id'), condition=models.Q(('unique_key__isnull', False)), name='job_by_key'),
        ),
    ]
