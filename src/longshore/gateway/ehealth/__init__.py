"""eHealth Ukraine, composition jobs: `GET /patients/composition/job/{asyncJobId}`.

How far an asynchronous job is, when to ask again, and what came of it.
"""

from __future__ import annotations

from longshore.gateway.ehealth.routes import application

__all__ = ["application"]
