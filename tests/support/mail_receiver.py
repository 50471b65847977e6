"""A local SMTP server that keeps every mail as a file: what the mail tests and the demo look at.

Runs on a thread of its own (aiosmtpd). May ask for STARTTLS and for a login, and may be told to answer with a temporary failure.
"""

import email
import email.policy
import os
import ssl
import subprocess

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from processes import free_port


class _Handler:
    def __init__(self, receiver):
        self._receiver = receiver

    async def handle_DATA(self, server, session, envelope):
        if self._receiver.refusals > 0:
            self._receiver.refusals -= 1
            return "451 4.3.0 try again later"
        self._receiver.keep(session, envelope)
        return "250 2.0.0 kept"


class MailReceiver:
    """`login` is (user, password), asked for after STARTTLS, which `certificate` (see make_certificate) turns on."""

    def __init__(self, folder, certificate=None, login=None):
        self.folder = folder
        self.port = free_port()
        self.refusals = 0  # so many messages are refused with a temporary failure before the next is taken
        self._login = login
        self._controller = None
        self._context = None
        os.makedirs(folder, exist_ok=True)
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}"

    def start(self):
        receiver = self

        class Server(Controller):
            def factory(self):
                return SMTP(self.handler, hostname="localhost", enable_SMTPUTF8=True, tls_context=receiver._context,
                            require_starttls=receiver._context is not None, auth_required=receiver._login is not None,
                            authenticator=receiver._authenticate if receiver._login else None)

        self._controller = Server(_Handler(self), hostname="127.0.0.1", port=self.port)
        self._controller.start()
        return self

    def stop(self):
        if self._controller:
            self._controller.stop()
            self._controller = None

    def _authenticate(self, server, session, envelope, mechanism, data):
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self._login)

    def keep(self, session, envelope):
        path = os.path.join(self.folder, f"{len(os.listdir(self.folder)) + 1:04}.eml")
        head = f"X-Envelope-From: {envelope.mail_from}\r\n" + "".join(f"X-Envelope-To: {to}\r\n" for to in envelope.rcpt_tos)
        head += f"X-Received-With: {'TLS' if session.ssl else 'plain'}{', login' if session.authenticated else ''}\r\n"
        with open(path + ".part", "wb") as file:
            file.write(head.encode() + envelope.content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".part", path)

    def mails(self):
        """All mails received, oldest first, as email.message.EmailMessage."""
        found = []
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".eml"):
                with open(os.path.join(self.folder, name), "rb") as file:
                    found.append(email.message_from_binary_file(file, policy=email.policy.default))
        return found


def text_of(mail):
    """The plain text of a mail."""
    body = mail.get_body(preferencelist=("plain",))
    return body.get_content() if body else ""


def make_certificate(folder):
    """A self-signed certificate for localhost and 127.0.0.1, as (certificate file, key file)."""
    os.makedirs(folder, exist_ok=True)
    certificate, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    return certificate, key
