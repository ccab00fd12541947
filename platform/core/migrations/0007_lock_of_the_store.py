"""Locks as the admin shows them: no table of this database."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0006_lock_tables'),
    ]

    operations = [
        migrations.CreateModel(
            name='Lock',
            fields=[
                ('key', models.TextField(primary_key=True, serialize=False)),
                ('name', models.TextField()),
                ('state', models.TextField()),
                ('token', models.BigIntegerField()),
                ('holder', models.TextField()),
                ('since', models.DateTimeField(null=True)),
                ('age_seconds', models.FloatField(null=True)),
                ('lease_seconds', models.FloatField(null=True)),
                ('free_in_seconds', models.FloatField(null=True)),
                ('renewals', models.BigIntegerField(null=True)),
                ('waiters', models.BigIntegerField()),
            ],
            options={
                'db_table': 'lock_of_the_store',
                'ordering': ['name'],
                'managed': False,
                'default_permissions': (),
            },
        ),
    ]
