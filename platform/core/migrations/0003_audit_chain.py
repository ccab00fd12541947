"""The audit's entries are chained: each link's digest is over its entry and the link before."""

from django.db import migrations, models

TABLE = """
CREATE TABLE audit_link (
  position bigint PRIMARY KEY,
  entry_id bigint NOT NULL UNIQUE,
  digest text NOT NULL
);
CREATE TRIGGER audit_link_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_link
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_link ENABLE ALWAYS TRIGGER audit_link_stays;
CREATE INDEX audit_entry_request ON audit_entry (request_id, id) WHERE request_id <> '';
"""
GONE = "DROP INDEX audit_entry_request; DROP TABLE audit_link"


class Migration(migrations.Migration):
    dependencies = [("core", "0002_audit")]

    operations = [
        migrations.RunSQL(
            TABLE, GONE,
            state_operations=[
                migrations.CreateModel(
                    name="AuditLink",
                    fields=[
                        ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("entry_id", models.BigIntegerField(unique=True)),
                        ("digest", models.TextField()),
                    ],
                    options={"db_table": "audit_link", "managed": False, "ordering": ["position"]},
                ),
            ],
        ),
    ]
