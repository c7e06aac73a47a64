"""Access: who may call. Principals as a file tells them, and the credentials they show:
tokens, passwords, certificates, JSON Web Tokens of other issuers. Knows nothing of the wire.
"""
