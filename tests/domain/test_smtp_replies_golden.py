"""Replies as providers and servers print them, from the wire's bytes to what is done about them (C-07).

What the providers' public pages and the servers' sources say, with addresses, hosts and numbers of our own.
"""

import pytest

from service.domain.outcomes import Message, Phase
from service.domain.smtp_replies import Fate, Scope, decide_fate
from service.mail.smtp_replies import outcome_of, read_reply

OK, RETRY, GIVE_UP, BACK = Fate.ACCEPTED, Fate.RETRY, Fate.GIVE_UP, Fate.GIVE_BACK
R, M, Y = Scope.RECIPIENT, Scope.MESSAGE, Scope.RELAY
MAIL, RCPT, DATA, EOM = Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.EOM
DEAD, ALIVE = True, False

# ruff: noqa: E501 - a reply stands in one line, as far as it was printed so
# fmt: off
GMAIL = [
    (RCPT, ("550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the "
     "recipient's email address for typos or\n550 5.1.1 unnecessary spaces. For more information, go to\n"), GIVE_UP, R, DEAD),
    (RCPT, "550 5.2.1 The email account that you tried to reach is inactive.", GIVE_UP, R, ALIVE),
    (RCPT, ("550-5.2.1 The user you are trying to contact is receiving mail at a rate that\n550 5.2.1 prevents additional "
     "messages from being delivered."), GIVE_UP, R, ALIVE),
    (RCPT, ("450-4.2.1 The user you are trying to contact is receiving mail too quickly. Please\n450 4.2.1 resend your "
     "message at a later time."), RETRY, R, ALIVE),
    (RCPT, ("452-4.2.2 The email account that you tried to reach is over quota. Please direct\n452 4.2.2 the recipient to "
     "its help page."), RETRY, R, ALIVE),
    (EOM, "452 4.2.2 The recipient's inbox is out of storage space.", RETRY, R, ALIVE),
    (EOM, "552 5.2.2 The recipient's inbox is out of storage space and inactive.", GIVE_UP, R, ALIVE),
    (EOM, "552-5.2.3 Your message exceeded its size limit.\n552 5.2.3 See our page on message size limits.", GIVE_UP, R, ALIVE),
    (EOM, "421-4.7.28 Gmail has detected an unusual rate of mail originating from your IP\n421 4.7.28 address.", BACK, Y, ALIVE),
    (EOM, "450 4.7.28 There is an unusual rate of unsolicited mail.", BACK, Y, ALIVE),
    (EOM, ("550-5.7.28 There is an unusual rate of unsolicited mail originating from your IP\n550 5.7.28 address. To protect "
     "our users from spam, mail has been blocked."), GIVE_UP, M, ALIVE),
    (EOM, ("550-5.7.1 Our system has detected that this message is likely unsolicited mail. To\n550 5.7.1 reduce the amount "
     "of spam, this message has been blocked."), GIVE_UP, M, ALIVE),
    (EOM, "550-5.7.1 The IP you're using to send mail is not authorized to send email directly\n550 5.7.1 to our servers.",
     GIVE_UP, M, ALIVE),
    (EOM, "550 5.7.1 This message is not RFC 5322 compliant. There are multiple From headers.", GIVE_UP, M, ALIVE),
    (EOM, ("550-5.7.26 This mail has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all "
     "senders to authenticate with either SPF or DKIM.\n550 5.7.26 DKIM = did not pass"), GIVE_UP, M, ALIVE),
    (EOM, "550-5.7.26 Unauthenticated email from publisher.example is not accepted due to\n550 5.7.26 domain's DMARC policy.",
     GIVE_UP, M, ALIVE),
    (EOM, "421 4.7.26 This mail has been rate limited because it is unauthenticated.", BACK, Y, ALIVE),
    (EOM, "421 5.7.32 Your email has been rate limited because the From: header isn't aligned.", BACK, Y, ALIVE),
    (EOM, "451 4.7.40 Your email has been rate limited because the sending domain has no DMARC record.", RETRY, M, ALIVE),
    (EOM, "504 5.7.40 The sending domain does not have a DMARC record.", GIVE_UP, M, ALIVE),
    (EOM, "552-5.7.0 This message was blocked because its content presents a potential security\n552 5.7.0 issue.",
     GIVE_UP, M, ALIVE),
    (MAIL, "530-5.7.0 Authentication Required. For more information, go to\n530 5.7.0 the help page", BACK, Y, ALIVE),
    (MAIL, "550-5.7.1 Invalid credentials for relay [192.0.2.1]. The IP address you've registered\n550 5.7.1 doesn't match.",
     BACK, Y, ALIVE),
    (RCPT, "550 5.4.5 Daily SMTP relay limit exceeded for user.", BACK, Y, ALIVE),
    (EOM, "451 4.3.0 Mail server temporarily rejected message.", RETRY, M, ALIVE),
]
MICROSOFT = [
    (RCPT, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", GIVE_UP, R, DEAD),
    (RCPT, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", GIVE_UP, R, DEAD),
    (RCPT, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", GIVE_UP, R, ALIVE),
    (EOM, "550; 5.7.515 Access denied, sending domain publisher.example doesn't meet the required authentication level.",
     GIVE_UP, M, ALIVE),
    (MAIL, ("550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider "
     "since part of their network is on our block list (S3150)."), GIVE_UP, M, ALIVE),
    (MAIL, "550 SC-001 (COL004-MC1F4) Unfortunately, messages from 192.0.2.1 weren't sent.", GIVE_UP, M, ALIVE),
    (MAIL, "421 RP-001 The mail server IP connecting to the server has exceeded the rate limit allowed.", BACK, Y, ALIVE),
    (RCPT, "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", RETRY, R, ALIVE),
    (RCPT, "550 5.7.606 Access denied, banned sending IP [192.0.2.1].", GIVE_UP, R, ALIVE),
    (RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", BACK, Y, ALIVE),
    (EOM, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", BACK, Y, ALIVE),
    (EOM, "554 5.2.2 STOREDRV.Deliver.Exception:QuotaExceededException; mailbox full", GIVE_UP, R, ALIVE),
    (EOM, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", RETRY, M, ALIVE),
    (EOM, "554 5.2.0 STOREDRV.Deliver.Exception: Failed to process message", GIVE_UP, R, ALIVE),
    (EOM, "550 5.6.0 CAT.InvalidContent.Exception: the content is invalid", GIVE_UP, M, ALIVE),
]
YAHOO = [
    (RCPT, "554 delivery error: dd This user doesn't have a yahoo.example account (gone@x.example) [0] - mta1", GIVE_UP, R, ALIVE),
    (RCPT, "554 30 Sorry, your message to gone@x.example cannot be delivered. This mailbox is disabled (554.30).",
     GIVE_UP, R, ALIVE),
    (RCPT, "552 1 Requested mail action aborted, mailbox not found", RETRY, R, ALIVE),
    (MAIL, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
     BACK, Y, ALIVE),
    (MAIL, "451 Message temporarily deferred - [160]", RETRY, M, ALIVE),
    (EOM, "554 5.7.9 Message not accepted for policy reasons. See the postmaster's page", GIVE_UP, M, ALIVE),
    (EOM, "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
     GIVE_UP, M, ALIVE),
]
SERVERS = [
    (EOM, "250 2.0.0 Ok: queued as 4XyZ1k2m3nz9", OK, M, ALIVE),
    (EOM, "250 OK id=1tF2aB-0000000A1bC-2dEf", OK, M, ALIVE),
    (EOM, "250 2.0.0 3f2a1b7c Message accepted for delivery", OK, M, ALIVE),
    (EOM, "250 2.6.0 <token@publisher.example> [InternalId=1234, Hostname=x] 9000 bytes Queued mail for delivery", OK, M, ALIVE),
    (RCPT, "550 5.1.1 <gone@x.example>: Recipient address rejected: User unknown in local recipient table", GIVE_UP, R, DEAD),
    (RCPT, "550 5.1.1 <gone@x.example>: Recipient address rejected: User unknown in virtual mailbox table", GIVE_UP, R, DEAD),
    (RCPT, "450 4.1.1 <gone@x.example>: Recipient address rejected: unverified address: unknown user", RETRY, R, ALIVE),
    (RCPT, "450 4.2.0 <gone@x.example>: Recipient address rejected: Greylisted, see the postmaster's page", RETRY, R, ALIVE),
    (RCPT, "454 4.7.1 <gone@x.example>: Relay access denied", RETRY, R, ALIVE),
    (RCPT, "554 5.7.1 <gone@x.example>: Relay access denied", BACK, Y, ALIVE),
    (RCPT, "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", BACK, Y, ALIVE),
    (RCPT, "553 5.7.1 <b@bounce.example>: Sender address rejected: not owned by user milepost", BACK, Y, ALIVE),
    (RCPT, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", GIVE_UP, R, ALIVE),
    (RCPT, "451 4.3.5 Server configuration error", RETRY, R, ALIVE),
    (MAIL, "452 4.3.1 Insufficient system storage", RETRY, M, ALIVE),
    (MAIL, "552 5.3.4 Message size exceeds fixed limit", GIVE_UP, M, ALIVE),
    (MAIL, "450 4.1.8 <b@bounce.example>: Sender address rejected: Domain not found", RETRY, M, ALIVE),
    (MAIL, "450 4.7.1 Error: too much mail from 192.0.2.1", RETRY, M, ALIVE),
    (MAIL, "421 4.7.0 mx.example Error: too many connections from 192.0.2.1", BACK, Y, ALIVE),
    (MAIL, "450 4.7.0 Too many concurrent SMTP connections; please try again later.", BACK, Y, ALIVE),
    (DATA, "554 5.5.1 Error: no valid recipients", GIVE_UP, M, ALIVE),
    (DATA, "503 5.5.1 Error: need RCPT command", GIVE_UP, M, ALIVE),
    (MAIL, "503 5.5.1 Error: nested MAIL command", GIVE_UP, M, ALIVE),
    (EOM, "451 4.3.0 Error: queue file write error", RETRY, M, ALIVE),
    (RCPT, "550 Unrouteable address", GIVE_UP, R, DEAD),
    (RCPT, "550 relay not permitted", BACK, Y, ALIVE),
    (RCPT, "550-Verification failed for <b@bounce.example>\n550 Sender verify failed", GIVE_UP, R, ALIVE),
    (RCPT, "451 Temporary local problem - please try later", RETRY, R, ALIVE),
    (RCPT, "550 Administrative prohibition", GIVE_UP, R, ALIVE),
    (EOM, "550 This message was classified as SPAM and may not be delivered", GIVE_UP, M, ALIVE),
    (EOM, "552 Message size exceeds maximum permitted", RETRY, M, ALIVE),
    (RCPT, "550 5.1.1 Invalid recipient: no such user", GIVE_UP, R, DEAD),
    (RCPT, "550 5.7.1 Requested action not taken: mailbox unavailable or not local", GIVE_UP, R, ALIVE),
    (MAIL, "454 Throttling failure: Maximum sending rate exceeded.", BACK, Y, ALIVE),
    (EOM, "454 Throttling failure: Daily message quota exceeded.", BACK, Y, ALIVE),
    (EOM, "554 Message rejected: Email address is not verified.", BACK, Y, ALIVE),
    (RCPT, "556 5.1.10 Domain does not accept mail (null MX)", GIVE_UP, R, DEAD),
    (RCPT, "550 5.7.17 Mailbox owner has changed", GIVE_UP, R, DEAD),
    (MAIL, "550-5.7.1 [CS01] Message rejected due to local policy.\n550 5.7.1 Please visit our postmaster's page",
     GIVE_UP, M, ALIVE),
    (MAIL, "550 5.1.0 <b@bounce.example> sender rejected", GIVE_UP, M, ALIVE),
    (RCPT, "550 5.0.0 No such user", GIVE_UP, R, DEAD),
    (RCPT, "550 5.0.0 rejected by policy", GIVE_UP, R, ALIVE),
    (EOM, "550 #5.7.5 Permanent Error Evaluating DMARC Policy", GIVE_UP, M, ALIVE),
]
# fmt: on
EVERY = GMAIL + MICROSOFT + YAHOO + SERVERS


@pytest.mark.requirement("C-07")
@pytest.mark.parametrize(("phase", "said", "fate", "scope", "dead"), EVERY)
def test_a_reply_as_printed(phase: Phase, said: str, fate: Fate, scope: Scope, dead: bool) -> None:
    heard = said.strip().replace("\n", "\r\n").encode() + b"\r\n"
    reply = read_reply(heard)
    assert reply is not None
    assert reply.end == len(heard)
    message = Message(1, "b@bounce.example", "gone@x.example", b"")
    outcome = outcome_of(message, phase, reply.code, reply.text.decode(), "relay:25")
    verdict = decide_fate(outcome)
    assert (verdict.fate, verdict.scope, verdict.suppress) == (fate, scope, dead)
    assert "@" not in outcome.text, "addresses are scrubbed (C-06)"
    assert outcome.enhanced is None or outcome.enhanced not in outcome.text.split()


@pytest.mark.requirement("C-07")
def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len({said for _, said, *_ in EVERY}) == len(EVERY) >= 60


@pytest.mark.requirement("C-08")
def test_nothing_refused_for_good_is_tried_again() -> None:
    """But for a bare 552, which RFC 5321 §4.5.3.1.10 calls temporary."""
    for _, said, fate, _, _ in EVERY:
        if said.startswith("5") and fate is RETRY:
            assert said.startswith("552 ")
