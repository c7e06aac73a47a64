"""The PostgreSQL store: many servers over one database, each keeping all promises of `Store`."""
