"""Whether the relay would take mail: connect, TLS, EHLO, AUTH. No MAIL command, so nothing can be sent."""

import smtplib
import ssl


def relay_trouble(
    host: str,
    port: int,
    tls: str,
    *,
    credentials: tuple[str, str] | None,
    helo_name: str | None,
    timeout: float,
    settings: str = "MILEPOST_RELAY",
) -> str | None:
    """What stands in the way and what to check, or None. `tls` as in the settings; `timeout` in seconds, per step.

    `settings`: what the names of its settings begin with.
    """
    place = f"The SMTP relay {host}:{port}"
    connected = False
    try:
        with _connect(host, port, helo_name, timeout, implicit=tls == "implicit") as client:
            connected = True
            client.ehlo()
            if tls in ("required", "opportunistic"):
                if client.has_extn("starttls"):
                    client.starttls(context=ssl.create_default_context())
                    client.ehlo()
                elif tls == "required":
                    return f"{place} offers no STARTTLS. {settings}_TLS=required demands it; check the port."
            if credentials:
                client.login(*credentials)
    except ssl.SSLError as error:
        return f"{place} failed at TLS ({error.reason or error}). Check {settings}_TLS and the relay's certificate."
    except smtplib.SMTPAuthenticationError as error:
        return f"{place} refused the login with {error.smtp_code}. Check {settings}_USER and its password."
    except (OSError, smtplib.SMTPException) as error:
        what = "broke off" if connected else "cannot be reached"
        return f"{place} {what} ({error}). Start it or correct {settings}_HOST and {settings}_PORT."
    return None


def _connect(host: str, port: int, helo_name: str | None, timeout: float, *, implicit: bool) -> smtplib.SMTP:
    if implicit:
        return smtplib.SMTP_SSL(host, port, helo_name, timeout=timeout, context=ssl.create_default_context())
    return smtplib.SMTP(host, port, helo_name, timeout=timeout)
