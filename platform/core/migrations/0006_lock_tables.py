"""The tables of named locks, for whoever keeps them in this database; another store has its own."""

from django.db import migrations

from locks.stores.postgresql.schema import SCHEMA


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0005_resource_fence'),
    ]

    operations = [
        migrations.RunSQL(SCHEMA, 'DROP SCHEMA locks CASCADE'),
    ]
