"""Callbacks: HTTP out. The gateway is the worker of the server's queue of callbacks: it renders
the operation that has ended, as the dialect that was asked for shows it, signs it, and sends it
to an address that it has looked at first.
"""
