"""What the workers of each layout hold in memory after some work: PSS counts a page that forks share once."""

from bench import fleet
from bench.run import Run


def run(run: Run) -> None:
    for layout in run.options.layouts:
        for system in run.systems:
            system.purge()
            with fleet.workers(system, layout, pool=run.options.pool, log=run.log) as crew:
                fleet.warm(system, crew, layout, pool=run.options.pool, log=run.log)
                used = crew.memory()
            run.results.note(
                part="memory", case="workers", layout=str(layout), system=system.name,
                metrics={"pss_mib": used.pss_mib, "rss_mib": used.rss_mib},
            )
