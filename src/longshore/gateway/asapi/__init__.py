"""Reincubate ricloud: asapi v2, by which work is asked for, with asstore and aschannel, by which
results are had. All three stand under one mount, and one token opens them; it is the token's
principal that decides between store and channel.
"""

from __future__ import annotations

from longshore.gateway.asapi.routes import application

__all__ = ["application"]
