"""Tokens of resources that have no row of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0004_names'),
    ]

    operations = [
        migrations.CreateModel(
            name='ResourceFence',
            fields=[
                ('resource', models.CharField(max_length=255, primary_key=True, serialize=False)),
                ('fence', models.BigIntegerField()),
                ('raised_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'db_table': 'resource_fence',
            },
        ),
    ]
