"""An SMTP server for one test: keeps each mail as a file in a folder, until its standard input ends.

smtp_server.py PORT FOLDER [CERTIFICATE KEY USER PASSWORD]: with a certificate it demands STARTTLS and a login. Recipients: later@ is put off with
451 until the file FOLDER/ready exists, never@ is refused with 550.
"""

import os
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

port, folder = int(sys.argv[1]), sys.argv[2]
certificate = sys.argv[3:5]
login = tuple(sys.argv[5:7])


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never@"):
            return "550 5.1.1 no such user"
        if address.startswith("later@") and not os.path.exists(os.path.join(folder, "ready")):
            return "451 4.2.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        path = os.path.join(folder, f"{len(os.listdir(folder)):04}")
        with open(path + ".part", "wb") as file:
            how = ("TLS" if session.ssl else "plain") + (" login" if session.authenticated else "")
            file.write(f"{how} {','.join(envelope.rcpt_tos)}\n".encode() + envelope.original_content)
        os.rename(path + ".part", path + ".eml")
        return "250 OK"


class Server(Controller):
    def factory(self):
        if not certificate:
            return SMTP(self.handler, hostname="localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        check = lambda server, session, envelope, mechanism, data: AuthResult(
            success=(data.login.decode(), data.password.decode()) == login, handled=False)
        return SMTP(self.handler, hostname="localhost", tls_context=context, require_starttls=True, auth_required=True, authenticator=check)


controller = Server(Handler(), hostname="127.0.0.1", port=port)
controller.start()
print("listening", flush=True)
sys.stdin.read()
controller.stop()
