"""Certificates: what HTTP is secured with, taken up anew when the files change."""

from __future__ import annotations

import ssl

from longshore.client.errors import InvalidValue
from longshore.client.rereading import Reread
from longshore.gateway.settings import TlsFiles


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return what secures connections by what the files hold when they begin.

    Raises `InvalidValue` if they cannot be used now.
    """
    current = Reread((files.certificate, files.key), lambda: _context(files))

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = current.now()

    context = _context(files)
    context.sni_callback = choose
    return context


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
        why = error.reason or str(error)
        raise InvalidValue(
            f"{files.certificate} and {files.key} are no certificate and its key: {why}"
        ) from None
    except OSError as error:
        raise InvalidValue(
            f"{error.filename or files.certificate}: {error.strerror or error}"
        ) from None
    return context
