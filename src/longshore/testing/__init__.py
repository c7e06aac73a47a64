"""For tests of your own actions: a server in the test's own process, with a clock that it moves.

    from longshore.testing import running

    async with running() as longshore:
        await longshore.work(worker)
        handle = await longshore.client.tasks.submit("greet", start_time=timedelta(days=1))
        await longshore.clock.advance(days=1)
        print(await handle.result())

With pytest: name the plugin `longshore.testing.plugin`, and ask for the fixture `longshore`.
All of it is real: an SQLite file, a gRPC channel on loopback, the worker's threads.
"""

from __future__ import annotations

from longshore.testing.clock import Clock
from longshore.testing.server import Longshore, running

__all__ = ["Clock", "Longshore", "running"]
