"""The gateway: five documented HTTP APIs and canonical JSON in front of the contract, and the
callbacks that go out. It knows servers as every client does.
"""
