"""What a reader sees whose link leads to nobody: made by a test, of somebody who was erased since, or not ours."""

from fastapi import Request
from fastapi.responses import Response

from service.domain.tokens import TokenKind
from service.web.deps import get_container, get_pages, read_language


def lost(request: Request, kind: TokenKind, token: str) -> Response:
    """A-26: one body for every forgery; A-29: kind words, for ever, for links of ours."""
    pages, language = get_pages(request), read_language(request)
    opened = get_container(request).keys.open(kind, token)
    if opened is None:
        return pages.message("link_unknown", language, 404)
    return pages.message("nobody_left" if opened.first else "test_link", language)
