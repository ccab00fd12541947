"""How the admin calls these tables."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0003_audit_chain'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='apitoken',
            options={'verbose_name': 'API token'},
        ),
        migrations.AlterModelOptions(
            name='auditentry',
            options={'managed': False, 'ordering': ['-id'], 'verbose_name_plural': 'audit'},
        ),
    ]
