"""A mail server that stores what it takes, and refuses what asks for it.

Recipients: refused@… is 550, never@… is 450, later@… is 450 twice and then taken. Senders: stranger@… is 550. Subjects:
[reject] is 554. Of all mails every n-th is refused with 451, or stored and not answered, by turns.
"""

import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

port, security, folder, user, password, every, certificate = sys.argv[1:8]
every = int(every)


class Handler:
    later = 0
    mails = 0

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("stranger@"):
            return "550 5.7.1 no mail from strangers"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 5.1.1 nobody has this name"
        if address.startswith("later@") and Handler.later < 2:
            Handler.later += 1
            return "450 4.2.0 come again"
        if address.startswith("never@"):
            return "450 4.2.2 mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        text = envelope.content.decode("utf-8", "surrogateescape")
        if "[reject]" in text:
            return "554 5.6.0 the content is refused"
        Handler.mails += 1
        fails = every and Handler.mails % every == 0
        if fails and Handler.mails % (2 * every) == 0:
            return "451 4.3.0 busy"
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text, "tls": session.ssl is not None}
        with open(folder + "/mails.jsonl", "a") as file:
            file.write(json.dumps(mail) + "\n")
        if fails:
            server.transport.abort()
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    right = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=right, handled=False)


settings = {"hostname": "127.0.0.1", "port": int(port), "ident": "test server"}
if user:
    settings |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": security == "starttls"}
if security != "none":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder + "/broker.pem", folder + "/broker.key")
    if certificate:
        context.load_verify_locations(folder + "/ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    settings |= {"ssl_context": context} if security == "tls" else {"tls_context": context, "require_starttls": True}
Controller(Handler(), **settings).start()
print("ready", flush=True)
threading.Event().wait()
