"""The running machine: writer, feed, sessions, dispatcher, reaper and retention.

Everything here runs on one event loop and is entered and left through `engine.Engine`.
"""
