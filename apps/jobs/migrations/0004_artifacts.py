"""Files in and out: what is kept of each, and the files that no row names."""

import apps.jobs.models
import core.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0003_lists'),
    ]

    operations = [
        migrations.CreateModel(
            name='Artifact',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, primary_key=True, serialize=False)),
                ('job_id', models.UUIDField(null=True)),
                ('name', models.TextField()),
                ('content_type', models.TextField()),
                ('size', models.BigIntegerField()),
                ('sha256', models.TextField()),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('file', models.FileField(max_length=200, storage=apps.jobs.models.artifact_storage, upload_to='')),
            ],
            options={
                'db_table': 'job_artifact',
                'indexes': [models.Index(models.F('expires_at'), name='job_artifact_expires')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('job_id__isnull', False)), fields=('job_id', 'name'), name='job_artifact_name'), models.UniqueConstraint(fields=('file',), name='job_artifact_file')],
            },
        ),
        migrations.CreateModel(
            name='LooseFile',
            fields=[
                ('path', models.TextField(primary_key=True, serialize=False)),
                ('delete_after', models.DateTimeField()),
            ],
            options={
                'db_table': 'job_loose_file',
                'indexes': [models.Index(models.F('delete_after'), name='job_loose_file_due')],
            },
        ),
    ]
