"""The audit: a table of rows that are written once. Its model is unmanaged, so that `flush` passes it by."""

from django.db import migrations, models
from django.db.models.expressions import RawSQL

TABLE = """
CREATE TABLE audit_entry (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  actor_name text NOT NULL DEFAULT '',
  role text NOT NULL DEFAULT '',
  channel text NOT NULL DEFAULT '',
  address text NOT NULL DEFAULT '',
  action text NOT NULL,
  target text NOT NULL,
  before jsonb,
  after jsonb,
  request_id text NOT NULL DEFAULT ''
);
CREATE INDEX audit_entry_at ON audit_entry (at);
CREATE INDEX audit_entry_actor ON audit_entry (actor, id);
CREATE INDEX audit_entry_action ON audit_entry (action, id);
CREATE INDEX audit_entry_target ON audit_entry (target, id);

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: the audit is only added to', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
-- ALWAYS: else `SET session_replication_role = replica` would switch it off without a trace in the table's definition.
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_stays;
"""
GONE = "DROP TABLE audit_entry; DROP FUNCTION audit_refuse()"


class Migration(migrations.Migration):
    dependencies = [("core", "0001_tokens_and_idempotency")]

    operations = [
        migrations.RunSQL(
            TABLE, GONE,
            state_operations=[
                migrations.CreateModel(
                    name="AuditEntry",
                    fields=[
                        ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                        ("at", models.DateTimeField(db_default=RawSQL("clock_timestamp()", []))),
                        ("actor", models.TextField()),
                        ("actor_name", models.TextField(default="")),
                        ("role", models.TextField(default="")),
                        ("channel", models.TextField(default="")),
                        ("address", models.TextField(default="")),
                        ("action", models.TextField()),
                        ("target", models.TextField()),
                        ("before", models.JSONField(null=True)),
                        ("after", models.JSONField(null=True)),
                        ("request_id", models.TextField(default="")),
                    ],
                    options={"db_table": "audit_entry", "managed": False, "ordering": ["-id"]},
                ),
            ],
        ),
    ]
