"""What Django cannot say: the fence's sequence, and how a table that churns is kept small."""

from django.db import migrations

CHURN = """
ALTER TABLE job SET (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
ALTER TABLE job_worker SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE job_duty SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE job_tally SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)
"""


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]

    operations = [
        # CACHE 1: with a cache each session keeps a block of its own, and a later claim may draw a smaller number.
        migrations.RunSQL("CREATE SEQUENCE job_fence CACHE 1", "DROP SEQUENCE job_fence"),
        migrations.RunSQL(CHURN, migrations.RunSQL.noop),
    ]
