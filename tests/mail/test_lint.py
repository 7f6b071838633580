"""The last look at a mail: planted faults are found, also where only Outlook looks, and what is ours passes."""

import pytest

from service.mail import lint
from service.mail.lint import LARGEST_HTML, LintError, check_html

OWN = frozenset({"news.fjellsko.example"})
BROUGHT = frozenset({"https://hub.fjellsko.example/en/easy-runs", "mailto:coach@club.example", "https://[broken"})
OWN_IMAGE = "https://news.fjellsko.example/x.png"
FOREIGN = "https://tracker.example/x"

LOADS = {
    "an image": f'<img src="{FOREIGN}.png" alt="" />',
    "an image in capitals": f'<IMG SRC="{FOREIGN}.png" ALT="">',
    "an image without scheme": '<img src="//tracker.example/x.png" alt="">',
    "an image without host": '<img src="x.png" alt="">',
    "an image as data": '<img src="data:image/png;base64,AAAA" alt="">',
    "an image as a part": '<img src="cid:1" alt="">',
    "a srcset": f'<img src="{OWN_IMAGE}" srcset="{OWN_IMAGE} 1x, {FOREIGN} 2x" alt="">',
    "a background": f'<td background="{FOREIGN}">x</td>',
    "an image from where articles are": '<img src="https://hub.fjellsko.example/en/easy-runs.png" alt="">',
    "a host that ends like ours": '<img src="https://evil-news.fjellsko.example/x.png" alt="">',
    "our name as a user": '<img src="https://news.fjellsko.example@tracker.example/x.png" alt="">',
    "css of an element": f'<p style="background:url({FOREIGN})">x</p>',
    "css with quotes": f'<p style="background-image: URL( &quot;{FOREIGN}&quot; )">x</p>',
    "css of the page": f"<style>.a {{ background: url('{FOREIGN}') }}</style>",
    "an imported style": f'<style>@import "{FOREIGN}";</style>',
    "an imported style as url": f"<style>@import url({FOREIGN});</style>",
    "a font": f"<style>@font-face {{ font-family: A; src: url({FOREIGN}.woff2) }}</style>",
    "a font that MJML knows": "<style>@import url(https://fonts.googleapis.com/css?family=Roboto);</style>",
    "an image for Outlook": f'<!--[if mso | IE]><v:image src="{FOREIGN}" /><![endif]-->',
    "an image for all but Outlook": f'<!--[if !mso]><!--><img src="{FOREIGN}" alt=""><!--<![endif]-->',
}
PIXELS = {
    "a pixel": f'<img src="{OWN_IMAGE}" width="1" height="1" alt="">',
    "a pixel in css": f'<img src="{OWN_IMAGE}" style="display:block; width: 1px;height:1px" alt="">',
    "a pixel without size": f'<img src="{OWN_IMAGE}" width="0" alt="">',
    "a pixel that was larger": f'<img src="{OWN_IMAGE}" width="560" style="max-width: 1px" alt="">',
    "a line": f'<img src="{OWN_IMAGE}" width="600" height="2" alt="">',
    "an image that could count": f'<img src="{OWN_IMAGE}?r=17" alt="">',
    "a background that could count": f"<td style=\"background:url('{OWN_IMAGE}?r=17')\">x</td>",
    "an image for Outlook that could count": f'<!--[if mso]><v:image src="{OWN_IMAGE}?r=17" /><![endif]-->',
}
ACTS = {
    "a script": "<script>alert(1)</script>",
    "a handler": '<p onclick="alert(1)">x</p>',
    "a frame": "<iframe></iframe>",
    "a form": "<form><input></form>",
    "an object": "<object></object>",
    "an embedded thing": "<embed>",
    "a base": '<base href="https://news.fjellsko.example/">',
    "a stylesheet": '<link rel="stylesheet" href="https://news.fjellsko.example/a.css">',
    "a stylesheet for one client": f'<!--[if !mso]><!--><link href="{FOREIGN}" rel="stylesheet"><!--<![endif]-->',
    "a refresh": '<meta http-equiv="Refresh" content="0; url=https://news.fjellsko.example/">',
    "a drawing": "<svg></svg>",
    "a film": "<video></video>",
}
LINKS = {
    "nobody's": f'<a href="{FOREIGN}">x</a>',
    "nobody's in capitals": f'<A HREF="{FOREIGN.upper()}">x</A>',
    "without scheme": '<a href="//tracker.example/">x</a>',
    "to a path": '<a href="/u/x">x</a>',
    "to nowhere": '<a href="">x</a>',
    "without anything": "<a href>x</a>",
    "within the mail": '<a href="#top">x</a>',
    "a script": '<a href="javascript:alert(1)">x</a>',
    "a shape for Outlook": f'<!--[if mso]><v:rect href="{FOREIGN}"></v:rect><![endif]-->',
    "another namespace": f'<v:rect xlink:href="{FOREIGN}">',
    "a host that ends like an article's": '<a href="https://evil.hub.fjellsko.example/">x</a>',
}
LOOKS = {
    "another host": '<a href="https://news.fjellsko.example/u">https://hub.fjellsko.example/</a>',
    "another host in pieces": '<a href="https://news.fjellsko.example/u">https://<b>hub</b>.fjellsko.example/</a>',
    "another host without scheme": '<a href="https://news.fjellsko.example/u">www.fjellsko.example</a>',
    "a host that is longer": '<a href="https://news.fjellsko.example/">https://news.fjellsko.example.evil.example/</a>',
}
FINE = {
    "an own image": f'<img src="{OWN_IMAGE}" srcset="{OWN_IMAGE} 2x" alt="A path">',
    "an own image in css": "<td style=\"background:url('https://NEWS.fjellsko.example/x.png')\">x</td>",
    "an image with its size": f'<img src="{OWN_IMAGE}" width="560" height="3" style="width:100%" alt="x">',
    "an image in a line": f'<img src="{OWN_IMAGE}" style="min-width:1px;line-height:1" alt="x">',
    "an image as wide as there is room": f'<img src="{OWN_IMAGE}" width="1%" style="height:auto" alt="x">',
    "an own link": '<a href="https://news.fjellsko.example/u/abc">Unsubscribe</a>',
    "an article's link": '<a href="https://hub.fjellsko.example/en/easy-runs">Read</a>',
    "another page of that host": '<a href="https://HUB.fjellsko.example/en/other">Read</a>',
    "a mailbox": '<a href="mailto:privacy@elsewhere.example">privacy@elsewhere.example</a>',
    "a link that says where it leads": '<a href="https://hub.fjellsko.example/a">https://HUB.fjellsko.example/…</a>',
    "a sentence that begins like an address": '<a href="https://news.fjellsko.example/">www.x is a prefix</a>',
    "a namespace that is no address": '<p xmlns:v="urn:schemas-microsoft-com:vml">x</p>',
    "an address that is only words": "<p>See https://tracker.example/ or not.</p>",
    "a style that loads nothing": "<style>.a { color: red } @media print { .a { color: black } }</style>",
}


def look(html: str) -> None:
    check_html(f"<html><body><p>Hello</p>{html}<p>Bye</p></body></html>", OWN, BROUGHT)


@pytest.mark.parametrize("html", LOADS.values(), ids=LOADS)
def test_what_loads_from_elsewhere_is_found(html: str) -> None:
    """Invariant 6; twice, as what was refused must not be remembered as read."""
    for _ in range(2):
        with pytest.raises(LintError, match="would load"):
            look(html)


@pytest.mark.requirement("D-24")
@pytest.mark.parametrize("html", PIXELS.values(), ids=PIXELS)
def test_what_would_count_readers_is_found(html: str) -> None:
    """On our own host too: nobody is to know who opens a mail, not even we."""
    with pytest.raises(LintError, match="D-24"):
        look(html)


@pytest.mark.parametrize("html", ACTS.values(), ids=ACTS)
def test_what_acts_is_found(html: str) -> None:
    """A-39."""
    with pytest.raises(LintError, match=r"may not hold|script|refresh"):
        look(html)


@pytest.mark.parametrize("html", LINKS.values(), ids=LINKS)
def test_a_link_that_nobody_brought_is_found(html: str) -> None:
    """Invariant 6."""
    with pytest.raises(LintError, match="links to"):
        look(html)


@pytest.mark.parametrize("html", ['<a href="https://[broken">x</a>', '<img src="https://[broken" alt="">'])
def test_a_broken_address_is_found(html: str) -> None:
    with pytest.raises(LintError):
        look(html)


@pytest.mark.parametrize("html", LOOKS.values(), ids=LOOKS)
def test_a_link_that_looks_like_another_is_found(html: str) -> None:
    """A-41."""
    with pytest.raises(LintError, match="leads to"):
        look(html)


@pytest.mark.parametrize("html", FINE.values(), ids=FINE)
def test_what_mails_may_hold_passes(html: str) -> None:
    look(html)


def test_a_mail_that_would_be_cut_off_is_refused() -> None:
    """A-43."""
    check_html("x" * LARGEST_HTML, OWN, BROUGHT)
    with pytest.raises(LintError, match="102,001 bytes"):
        check_html("é" + "x" * (LARGEST_HTML - 1), OWN, BROUGHT)


def test_what_is_remembered_is_remembered_for_its_hosts() -> None:
    html = f'<p>remembered</p><img src="{FOREIGN}" alt="">'
    check_html(html, frozenset({"tracker.example"}), BROUGHT)
    with pytest.raises(LintError):
        check_html(html, OWN, BROUGHT)


def test_what_stands_for_a_readers_own_words_hides_nothing() -> None:
    """Two readers' mails are read once; a fault beside their words is found in either."""
    for name in ("Ada", "Bo"):
        personal = {f"Hello {name},": "-", f"https://news.fjellsko.example/u/{name}": "https://news.fjellsko.example/u"}
        mail = f'<p>Hello {name},</p><a href="https://news.fjellsko.example/u/{name}">Unsubscribe</a>'
        check_html(mail, OWN, BROUGHT, personal)
        with pytest.raises(LintError):
            check_html(f'{mail}<img src="{FOREIGN}/{name}" alt="">', OWN, BROUGHT, personal)
    before = lint._read.cache_info().hits
    check_html(mail.replace("Bo", "Cem"), OWN, BROUGHT, {key.replace("Bo", "Cem"): personal[key] for key in personal})
    assert lint._read.cache_info().hits == before + 1
