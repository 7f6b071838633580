"""The catcher's pages and JSON: a list with search, a mail as HTML (sandboxed), text, headers and source."""

from contextlib import closing
from http import HTTPStatus
from pathlib import Path

from service.demo.http import Answer, Request, Site, as_json, not_found, page, page_file, see_other, templates
from service.demo.mailbox import Content, Mail, Mailbox, open_mail

PER_PAGE = 50
DIGITS = 15
"""More than any id or page has, less than SQLite's integers."""
VIEWS = ("html", "text", "headers", "source")
# The frame of a mail: no script, no form, no foreign host; a link opens a page of its own, which is not sandboxed.
MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data: http://localhost:* http://127.0.0.1:*; frame-ancestors 'self'"
)


def catcher_site(database: Path) -> Site:
    pages = _Pages(database)
    return Site(
        {
            r"/": pages.list_mails,
            r"/mails/(\d+)": pages.show_mail,
            r"/mails/(\d+)/html": pages.show_html,
            r"/mails/(\d+)/source": pages.show_source,
            r"/api/mails": pages.api_list,
            r"/api/mails/(\d+)": pages.api_mail,
            r"/(catcher\.css|catcher\.js|icon\.svg)": lambda request: page_file(request.arguments[0]),
            r"/health/live": lambda _: as_json({"status": "ok"}),
        },
        {"/forget": pages.forget},
    )


class _Pages:
    def __init__(self, database: Path) -> None:
        self._database = database
        self._templates = templates()

    def list_mails(self, request: Request) -> Answer:
        words = request.query.get("q", "").strip()
        number = max(1, _number(request.query.get("page", "1"), 1))
        with closing(Mailbox(self._database)) as mailbox:
            mails, total = mailbox.search(words, PER_PAGE, (number - 1) * PER_PAGE)
        last = max(1, -(-total // PER_PAGE))
        newest = max((mail.id for mail in mails), default=0) if number == 1 and not words else None
        return page(
            self._templates.get_template("catcher_list.html").render(
                mails=mails, words=words, number=number, last=last, total=total, newest=newest
            ),
        )

    def show_mail(self, request: Request) -> Answer:
        found = self._find(request)
        if found is None:
            return not_found("mail")
        mail, raw, content = found
        default = "html" if content.html is not None else "text"
        view = request.query.get("view", default)
        return page(
            self._templates.get_template("catcher_mail.html").render(
                mail=mail,
                content=content,
                source=raw.decode("latin-1") if view == "source" else "",
                view=view if view in VIEWS else default,
                views=VIEWS,
                size=len(raw),
            )
        )

    def forget(self, request: Request) -> Answer:
        """What an operator is asked to do here when a reader was erased."""
        with closing(Mailbox(self._database)) as mailbox:
            mailbox.forget(request.form.get("to", "").strip())
        return see_other("/")

    def show_html(self, request: Request) -> Answer:
        found = self._find(request)
        if found is None or found[2].html is None:
            return not_found("HTML part")
        # Links open a page of their own: the frame itself may do nothing.
        html = '<base target="_blank">' + found[2].html
        if "<head>" in found[2].html:
            html = found[2].html.replace("<head>", '<head><base target="_blank">', 1)
        return Answer(html.encode(), policy=MAIL_POLICY)

    def show_source(self, request: Request) -> Answer:
        found = self._find(request)
        if found is None:
            return not_found("mail")
        # message/rfc822 would be offered as a download; a browser shows this as it is.
        return Answer(found[1], "text/plain; charset=utf-8")

    def api_list(self, request: Request) -> Answer:
        after = _number(request.query.get("after", "0"), -1)
        if after < 0:
            return as_json({"error": "after must be the id of a mail"}, HTTPStatus.BAD_REQUEST)
        with closing(Mailbox(self._database)) as mailbox:
            found = mailbox.list_after(after, request.query.get("to", ""))
        return as_json([mail.document() for mail in found])

    def api_mail(self, request: Request) -> Answer:
        found = self._find(request)
        if found is None:
            return as_json({"error": "no such mail"}, HTTPStatus.NOT_FOUND)
        mail, raw, content = found
        return as_json(
            mail.document()
            | {
                "size": len(raw),
                "headers": content.headers,
                "text": content.text,
                "html": content.html,
                "links": content.links,
            }
        )

    def _find(self, request: Request) -> tuple[Mail, bytes, Content] | None:
        with closing(Mailbox(self._database)) as mailbox:
            found = mailbox.get(_number(request.arguments[0], 0))
        return None if found is None else (*found, open_mail(found[1]))


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else otherwise
