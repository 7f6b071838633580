"""The mail servers that Milepost is tried against, each as its maintainers ship it, on several ports.

One port for each thing that a relay may offer or leave out, and for each way to refuse. What a server cannot leave out
itself is hidden from its answer to EHLO on the way (`Curtain`).
"""

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from service.domain.outcomes import Phase
from tests.contracts.relay import ScriptedRelay
from tests.mtas import packages
from tests.mtas.certificates import Certificate
from tests.mtas.curtain import Curtain
from tests.mtas.roots import GROUPS, READER, Root
from tests.usecases.sending import Script

EXTENSIONS = ("PIPELINING", "STARTTLS", "AUTH", "SIZE", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING")
ALL, NOTHING = "everything", "nothing"
OFFERS = {ALL: (), **{f"no {name}": (name,) for name in EXTENSIONS}, NOTHING: EXTENSIONS}
"""What is offered, and which extensions are left out then."""
SMALL, FEW, MEMBERS, CLOSING = "small mails only", "few connections", "members only", "closing"

READERS = "reader.example"
"""The domain whose mailboxes the servers have."""
GONE = f"gone@{READERS}"
REFUSED_SENDER = "refused@bounce.example"
USER, RIGHT = "milepost", "long-enough-4-a-relay"
LIMIT = 20_000
"""Octets of a small mail."""
FEW_CONNECTIONS = 1

REFUSES = {
    "postfix": {SMALL, FEW, MEMBERS, GONE, REFUSED_SENDER},
    "exim": {SMALL, FEW, MEMBERS, GONE, REFUSED_SENDER},
    "opensmtpd": {GONE, REFUSED_SENDER},
    "smtp-sink": {GONE, REFUSED_SENDER, CLOSING},
    "aiosmtpd": {SMALL, MEMBERS, GONE, REFUSED_SENDER},
}
"""Whom each refuses, and for what it has a port of its own."""


class Server(Protocol):
    """A running mail server."""

    offers: frozenset[str]
    """What it offers where nothing is left out."""

    def port(self, name: str) -> int: ...
    def mailbox(self) -> list[bytes]:
        """Everything that it has delivered, as stored."""

    def stop(self) -> None: ...


@dataclass
class _Rooted:
    """What servers in a root of their own have in common."""

    root: Root
    ports: Mapping[str, int]
    offers: frozenset[str]
    curtains: dict[str, Curtain] = field(default_factory=dict)
    after_each: bytes = b""
    """What it puts behind each message in its file."""

    def port(self, name: str) -> int:
        return self.curtains[name].port if name in self.curtains else self.ports[name]

    def draw(self, name: str, *hidden: str) -> None:
        self.curtains[name] = Curtain(self.ports[name], frozenset(hidden))

    def mailbox(self) -> list[bytes]:
        return [mail.removesuffix(self.after_each) for mail in self.root.mailbox()]

    def stop(self) -> None:
        for curtain in self.curtains.values():
            curtain.close()
        self.root.stop()


def _ports(*more: str) -> dict[str, int]:
    """All drawn before any is given back: no two are the same."""
    with ExitStack() as held:
        drawn = {name: held.enter_context(socket.create_server(("127.0.0.1", 0))) for name in (*OFFERS, *more)}
        return {name: one.getsockname()[1] for name, one in drawn.items()}


# Postfix

POSTFIX_MAIN = """
compatibility_level = 3.6
maillog_file = /var/log/postfix.log
myhostname = relay.example
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
alias_maps =
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
virtual_mailbox_domains = reader.example
virtual_mailbox_base = /srv/mail
virtual_mailbox_maps = regexp:/etc/postfix/mailboxes
virtual_uid_maps = static:{reader}
virtual_gid_maps = static:{reader}
smtpd_peername_lookup = no
smtpd_delay_reject = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_sender_restrictions = check_sender_access regexp:/etc/postfix/senders
smtpd_tls_chain_files = /etc/relay.pem
smtpd_tls_security_level = may
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = /etc/postfix/sasl
smtpd_client_event_limit_exceptions =
smtpd_error_sleep_time = 0
"""
POSTFIX_SERVICES = """
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
SPOOL = ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"]


def start_postfix(directory: Path, certificate: Certificate) -> Server:
    root = Root(directory, packages.POSTFIX, library_paths=["/usr/lib/postfix"])
    ports = _ports(SMALL, FEW, MEMBERS)
    options = {name: {"smtpd_discard_ehlo_keywords": ",".join(hidden).lower()} for name, hidden in OFFERS.items()}
    options[SMALL] = {"message_size_limit": str(LIMIT)}
    options[FEW] = {"smtpd_client_connection_count_limit": str(FEW_CONNECTIONS)}
    options[MEMBERS] = {"smtpd_sender_restrictions": "permit_sasl_authenticated,reject"}
    services = [
        f"127.0.0.1:{ports[name]} inet n - n - - smtpd"
        + "".join(f" -o {option}={value}" for option, value in chosen.items() if value)
        for name, chosen in options.items()
    ]
    root.write("/etc/postfix/main.cf", POSTFIX_MAIN.format(reader=READER))
    root.write("/etc/postfix/master.cf", POSTFIX_SERVICES + "\n".join(services) + "\n")
    root.write("/etc/postfix/mailboxes", "!/^gone@/ inbox/\n")
    root.write("/etc/postfix/senders", f"/^{REFUSED_SENDER}$/ 550 5.7.1 We do not want your mail\n")
    root.write(
        "/etc/postfix/sasl/smtpd.conf", "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n"
    )
    root.write("/etc/relay.pem", certificate.key + certificate.chain, 0o600)
    for place in SPOOL:
        root.give(f"/var/spool/postfix/{place}", "postfix", "root", 0o700)
    for place in ("maildrop", "public"):
        root.give(f"/var/spool/postfix/{place}", "postfix", "postdrop", 0o730)
    for place in ("pid", "."):
        root.give(f"/var/spool/postfix/{place}", "root")
    root.give("/var/lib/postfix", "postfix", mode=0o700)
    _add_sasl_user(root)
    root.start(["/usr/lib/postfix/sbin/master", "-c", "/etc/postfix", "-d"], {"MAIL_CONFIG": "/etc/postfix"})
    for port in ports.values():
        root.wait_for_port(port)
    return _Rooted(root, ports, frozenset(EXTENSIONS))


def _add_sasl_user(root: Root) -> None:
    root.write("/tmp/password", RIGHT)
    root.run("a user for AUTH", ["/bin/sh", "-c", f"saslpasswd2 -p -c -u relay.example {USER} </tmp/password"])
    (root.directory / "etc/sasldb2").chmod(0o644)


# Exim

EXIM = """
primary_hostname = relay.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = {ports}
domainlist local_domains = reader.example
log_file_path = /var/log/exim4/%slog
spool_directory = /var/spool/exim4
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
smtp_accept_queue_per_connection = 0
smtp_accept_max = 500
tls_certificate = /etc/relay.pem
tls_privatekey = /etc/relay.pem
smtp_accept_max_per_host = ${{if eq{{$received_port}}{{{few}}}{{{few_connections}}}{{0}}}}
acl_smtp_mail = sender
acl_smtp_rcpt = recipient
message_size_limit = ${{if eq{{$received_port}}{{{small}}}{{{limit}}}{{50M}}}}
pipelining_advertise_hosts = {PIPELINING}
tls_advertise_hosts = {STARTTLS}
auth_advertise_hosts = {AUTH}
dsn_advertise_hosts = {DSN}
chunking_advertise_hosts = {CHUNKING}
smtputf8_advertise_hosts = {SMTPUTF8}
notifier_socket =
begin acl
sender:
  deny condition = ${{if eq{{$received_port}}{{{members}}}}}
       !authenticated = *
       message = 5.7.0 authentication is needed
  deny senders = {refused}
       message = 5.7.1 We do not want your mail
  accept
recipient:
  warn control = dkim_disable_verify
  deny local_parts = gone
       domains = +local_domains
       message = 5.1.1 Unknown user
  accept domains = +local_domains
  deny message = relay not permitted
begin routers
inbox:
  driver = accept
  domains = +local_domains
  transport = inbox
begin transports
inbox:
  driver = appendfile
  directory = /srv/mail/inbox
  create_directory
  maildir_format
  user = reader
  group = reader
  return_path_add
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""


def _except_on(ports: Mapping[str, int], extension: str) -> str:
    """Hosts to offer this extension to: everybody, but nobody on the ports that leave it out."""
    without = ":".join(str(ports[name]) for name, hidden in OFFERS.items() if extension in hidden)
    return f"${{if inlist{{$received_port}}{{{without}}}{{}}{{*}}}}"


def start_exim(directory: Path, certificate: Certificate) -> Server:
    root = Root(directory, packages.EXIM)
    ports = _ports(SMALL, FEW, MEMBERS)
    switches = {name: _except_on(ports, name) for name in EXTENSIONS}
    config = EXIM.format(
        ports=" : ".join(map(str, ports.values())),
        small=ports[SMALL],
        few=ports[FEW],
        few_connections=FEW_CONNECTIONS,
        members=ports[MEMBERS],
        limit=LIMIT,
        refused=REFUSED_SENDER,
        user=USER,
        password=RIGHT,
        **switches,
    )
    root.write("/etc/exim4/exim4.conf", config)
    root.write("/etc/relay.pem", certificate.key + certificate.chain)
    for place in ("/var/spool/exim4", "/var/log/exim4", "/run/exim4"):
        root.give(place, "Debian-exim")
    root.start(["/usr/sbin/exim4", "-bdf"])
    for port in ports.values():
        root.wait_for_port(port)
    server = _Rooted(root, ports, frozenset(EXTENSIONS))
    server.draw("no SIZE", "SIZE")
    server.draw("no 8BITMIME", "8BITMIME")
    server.draw(NOTHING, *EXTENSIONS)
    return server


# OpenSMTPD

OPENSMTPD = """
pki relay.example cert "/etc/relay-chain.pem"
pki relay.example key "/etc/relay-key.pem"
table members file:/etc/mail/members
table people file:/etc/mail/people
smtp max-message-size {limit}
table strangers {{ "{refused}" }}
filter "refused" phase mail-from match mail-from <strangers> reject "550 5.7.1 We do not want your mail"
{listeners}
action "inbox" maildir "/srv/mail/inbox" virtual <people>
match from any for domain "reader.example" action "inbox"
"""


def start_opensmtpd(directory: Path, certificate: Certificate) -> Server:
    """Its limit on the size of mails holds for all ports. Debian 12's cannot finish a handshake (OpenSMTPD issue 1239).

    It offers AUTH within TLS only, so nobody can use it there.
    """
    root = Root(directory, packages.OPENSMTPD)
    ports = _ports()
    listeners = []
    for name, port in ports.items():
        hidden = OFFERS.get(name, ())
        words = [f'listen on 127.0.0.1 port {port} hostname relay.example filter "refused"']
        if "STARTTLS" not in hidden:
            words.append("tls pki relay.example")
            if "AUTH" not in hidden:
                words.append("auth-optional <members>")
        if "DSN" in hidden:
            words.append("no-dsn")
        listeners.append(" ".join(words))
    root.write(
        "/etc/smtpd.conf", OPENSMTPD.format(limit=10 * LIMIT, refused=REFUSED_SENDER, listeners="\n".join(listeners))
    )
    control = [str(root.directory / "usr/sbin/smtpctl")]
    people = [f"reader-{number}@{READERS}\treader" for number in range(200)]
    root.write("/etc/mail/people", "\n".join(people) + "\n")
    root.run("what its installation does", ["chgrp", str(GROUPS["opensmtpq"]), *control], inside=False)
    root.run("the same", ["chmod", "2755", *control], inside=False)
    encrypted = root.run("a password", ["/usr/sbin/smtpctl", "encrypt", RIGHT]).strip()
    root.write("/etc/mail/members", f"{USER}\t{encrypted}\n")
    root.write("/etc/mailname", "relay.example\n")
    root.write("/etc/relay-chain.pem", certificate.chain)
    root.write("/etc/relay-key.pem", certificate.key, 0o600)
    root.give("/var/lib/opensmtpd/empty", "root")
    root.give("/var/spool/smtpd", "root", mode=0o711)
    root.start(["/usr/sbin/smtpd", "-d"])
    for port in ports.values():
        root.wait_for_port(port)
    offers = frozenset({"STARTTLS", "SIZE", "8BITMIME", "DSN"})
    server = _Rooted(root, ports, offers)
    server.draw("no SIZE", "SIZE")
    server.draw("no 8BITMIME", "8BITMIME")
    server.draw(NOTHING, *EXTENSIONS)
    return server


# smtp-sink


def start_smtp_sink(directory: Path, certificate: Certificate) -> Server:
    """Postfix's test server: one process for each port. It speaks no TLS, and pretends to know every password."""
    root = Root(directory, packages.POSTFIX, library_paths=["/usr/lib/postfix"])
    ports = _ports(GONE, REFUSED_SENDER, CLOSING)
    switch = {"PIPELINING": "-p", "AUTH": "-a", "8BITMIME": "-8", "DSN": "-N"}
    more = {GONE: ["-f", "RCPT"], REFUSED_SENDER: ["-f", "MAIL"], CLOSING: ["-Q", "DATA"], NOTHING: ["-e"]}
    for name, port in ports.items():
        options = [switch[hidden] for hidden in OFFERS.get(name, ()) if hidden in switch] + more.get(name, [])
        dump = f"/srv/mail/{port}."
        root.start(
            [
                "/usr/sbin/smtp-sink",
                "-c",
                "-u",
                "reader",
                "-h",
                "relay.example",
                *options,
                "-d",
                dump,
                f"127.0.0.1:{port}",
                "100",
            ]
        )
    for port in ports.values():
        root.wait_for_port(port)
    offers = frozenset({"PIPELINING", "AUTH", "8BITMIME", "DSN"})
    return _Rooted(root, ports, offers, after_each=b"\n")


# aiosmtpd

SCRIPT: Script = {
    GONE: (Phase.RCPT, 550, "5.1.1", "Unknown user"),
    REFUSED_SENDER: (Phase.MAIL, 550, "5.7.1", "We do not want your mail"),
}


class _Aiosmtpd:
    """One server for each port, in threads of this process."""

    offers = frozenset({"STARTTLS", "AUTH", "SIZE", "8BITMIME", "SMTPUTF8", "PIPELINING"})

    def __init__(self, certificate: Certificate) -> None:
        self._relays = {
            name: self._relay(name, OFFERS.get(name, ()), certificate) for name in (*OFFERS, SMALL, MEMBERS)
        }
        for relay in self._relays.values():
            relay.__enter__()

    def _relay(self, name: str, hidden: tuple[str, ...], certificate: Certificate) -> ScriptedRelay:
        options: dict[str, Any] = {
            "data_size_limit": 0 if "SIZE" in hidden else LIMIT if name == SMALL else 10_000_000,
            "enable_SMTPUTF8": "SMTPUTF8" not in hidden,
            "decode_data": False,
        }
        if "AUTH" not in hidden:
            options |= {"authenticator": _knows, "auth_require_tls": name == MEMBERS, "auth_required": name == MEMBERS}
        context = None if "STARTTLS" in hidden else certificate.server_context()
        return _Offering(SCRIPT, tls_context=context, options=options, hidden=hidden)

    def port(self, name: str) -> int:
        return self._relays[name].port

    def mailbox(self) -> list[bytes]:
        return [taken.data for relay in self._relays.values() for taken in relay.taken]

    def stop(self) -> None:
        for relay in self._relays.values():
            relay.__exit__()


def _knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), RIGHT.encode())
    return AuthResult(success=right, handled=False)


@dataclass
class _Offering(ScriptedRelay):
    """aiosmtpd keeps up with pipelined commands but does not say so."""

    hidden: tuple[str, ...] = ()

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        said = await super().handle_EHLO(server, session, envelope, hostname, responses)
        first, *others = [*said[:-1], "250-PIPELINING", said[-1]]
        return [first, *(line for line in others if line[4:].split()[0] not in self.hidden)]


def start_aiosmtpd(directory: Path, certificate: Certificate) -> Server:
    return _Aiosmtpd(certificate)


STARTS = {
    "postfix": start_postfix,
    "exim": start_exim,
    "opensmtpd": start_opensmtpd,
    "smtp-sink": start_smtp_sink,
    "aiosmtpd": start_aiosmtpd,
}
