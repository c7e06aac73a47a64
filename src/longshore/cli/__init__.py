"""The `longshore` command: serve, work, submit, and look at what happens.

One module per group of commands. `running` says how a command meets a server and which exit
code tells what, `settings` where its options come from.
"""
