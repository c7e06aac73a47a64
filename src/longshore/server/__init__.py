"""The contract, served: servicers that translate between the wire and the core, the texts that
callers write (filters, paths) read into values, one table of errors, one registration.
"""
