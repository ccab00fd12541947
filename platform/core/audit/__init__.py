"""Who did what: every action of an operator through the API, the admin or a command, as a row that nobody changes.

- **Who** is known at the edge. The web's middleware, a command and a background job that works for somebody each say
  `with acting(actor)`; whatever happens inside is theirs. Code that runs for nobody (a handler, the dispatcher) acts as
  `SYSTEM`.
- **What** is known in a service. It calls `record` in the transaction of the change, so that both exist or neither, and
  a dry run, which takes the change back, takes the entry back.
- **Nobody changes it**: triggers refuse UPDATE, DELETE and TRUNCATE, whatever `session_replication_role` says. The table
  belongs to no managed model, so that `manage.py flush` passes it by. Whoever owns the database could still switch the
  triggers off; `chain` shows that it was done.
"""

from core.audit.actor import LONGEST_REASON, SYSTEM, Actor, acting, at_terminal, because, current
from core.audit.recording import record

__all__ = ["LONGEST_REASON", "SYSTEM", "Actor", "acting", "at_terminal", "because", "current", "record"]
