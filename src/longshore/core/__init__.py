"""What an operation is, how it may change, and what can go wrong.

Pure values and pure decisions: this room knows neither the wire, nor the disk, nor asyncio.
"""
