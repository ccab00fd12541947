"""Fewer indexes that change with every status, and the same answers: each status change wrote all three of them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0002_storage'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='job',
            name='job_by_status',
        ),
        migrations.RemoveIndex(
            model_name='job',
            name='job_by_type',
        ),
        migrations.RemoveIndex(
            model_name='job',
            name='job_by_queue',
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(models.F('status'), models.F('created_at'), models.F('id'), condition=models.Q(('status__in', ('dead_letter', 'cancelled', 'retrying', 'scheduled'))), name='job_unusual'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(models.F('type'), models.F('queue'), models.F('created_at'), models.F('id'), name='job_by_kind'),
        ),
    ]
