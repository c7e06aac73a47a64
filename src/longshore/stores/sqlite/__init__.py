"""The SQLite store: one file, one writing server, a WAL, and a disk sync before each answer."""
