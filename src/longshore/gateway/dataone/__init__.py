"""Primeur Data One, Job Manager: jobs by `POST` and `GET` of `/job-manager/jobs`.

A contract's action is run on demand; a submit that is repeated with its external idempotency
identifier finds the job of the first. Where it is wanted, `/login` gives a token for a name and
a password.
"""

from __future__ import annotations

from longshore.gateway.dataone.routes import application

__all__ = ["application"]
