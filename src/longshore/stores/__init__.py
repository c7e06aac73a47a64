"""Stores: where operations live, each keeping every promise of `core.store.Store`."""
