"""What handlers ask of a request: the container, who sent it, which language they read, what they sent."""

import ipaddress
import json
from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, Request
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect

from service.bootstrap import Container
from service.domain.evidence import Evidence, make_evidence
from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.web.pages import Pages

MOST_FIELDS = 100

Fields = Mapping[str, tuple[str, ...]]
"""Every value of every field, in the order sent."""


def get_container(request: Request) -> Container:
    container: Container = request.app.state.container
    return container


def get_pages(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


def client_ip(request: Request) -> str | None:
    """Whom the network limits count. Forwarding headers count only as far as configured proxies wrote them."""
    peer = _address(request.client.host) if request.client else None
    trusted = [ipaddress.ip_network(network) for network in get_container(request).settings.trusted_proxies]
    hops = [hop for header in request.headers.getlist("x-forwarded-for") for hop in header.split(",")]
    while peer is not None and hops and any(peer in network for network in trusted):
        before = _address(hops.pop())
        if before is None:
            break
        peer = before
    return str(peer) if peer else None


def read_language(request: Request, wanted: str = "") -> Language:
    """The language to answer in: as wanted, as the form that was sent says (`request.state.language`), as the page's
    address says, as the browser prefers, else the default."""
    sent = getattr(request.state, "language", "")
    for choice in (wanted, sent, request.query_params.get("language", ""), *_accepted(request)):
        if choice in list(Language):
            return Language(choice)
    return get_container(request).settings.default_language


def get_evidence(request: Request, page_url: str | None = None) -> Evidence:
    return make_evidence(client_ip(request), request.headers.get("user-agent"), page_url)


def wants_json(request: Request) -> bool:
    """Whether a program asks: it sends JSON, or accepts JSON and no page."""
    accept = request.headers.get("accept", "")
    return media_type(request) == "application/json" or ("json" in accept and "text/html" not in accept)


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_form(request: Request) -> Fields:
    """The fields of an HTML form, urlencoded or multipart, files refused; 415 for anything else."""
    if media_type(request) not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise HTTPException(415)
    try:
        form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    except (MultiPartException, ClientDisconnect, UnicodeError) as error:  # a charset may be one that decodes nothing
        raise HTTPException(400) from error
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in form.multi_items():
        fields[name] = (*fields.get(name, ()), str(value))
    return fields


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises ServiceError (INVALID) for anything else."""
    try:
        value = json.loads(await request.body())
    except ClientDisconnect as error:
        raise HTTPException(400) from error
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ServiceError(Kind.INVALID, "body_malformed", "The body is not a JSON object; nothing was stored.")
    return value


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in one hop, with or without a port; an IPv4 address in IPv6 clothes is an IPv4 address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _accepted(request: Request) -> list[str]:
    """Primary tags of Accept-Language, most wanted first."""
    weighed = []
    for position, entry in enumerate(request.headers.get("accept-language", "")[:200].split(",")):
        tag, _, parameter = entry.partition(";")
        try:
            weight = float(parameter.partition("=")[2] or 1)
        except ValueError:
            weight = 0.0
        weighed.append((-weight, position, tag.strip().partition("-")[0].lower()))
    return [tag for weight, _, tag in sorted(weighed) if weight < 0]
