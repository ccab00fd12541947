"""Locks under faults: processes that use a few locks on three real nodes while holders and nodes are stopped and killed,
replies lost, requests held until they arrive late, and clocks set wrong. What they did is written down and checked.

    make chaos-locks MINUTES=10                    # a long run, with a report as HTML
    pytest -m chaos tests/locks/chaos              # a short one, and each design that must fail

Random mixes are weak at rare orders of events: `test_schedules.py` plays those exactly.
"""
