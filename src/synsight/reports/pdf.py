"""A page of HTML as PDF, with its fonts inside and nothing loaded from anywhere."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from synsight.errors import MissingDependency
from synsight.pillow_strictness import cut_images_refused
from synsight.reports.page_fonts import latin_faces

PURPOSE = "writing decision.pdf"

EPOCH = "SOURCE_DATE_EPOCH"


def why_no_pdf() -> MissingDependency | None:
    """The error that `pdf_of` would raise; None where it works."""
    try:
        with cut_images_refused():  # which importing it would end for the whole process
            import weasyprint
    except ImportError:
        return MissingDependency("weasyprint", extra="report", purpose=PURPOSE)
    except OSError:  # the package is there, the system's text library is not
        return MissingDependency("pango (a system library)", extra="report", purpose=PURPOSE)
    assert weasyprint
    return None


def pdf_of(html: str, *, style: str) -> bytes:
    """The page on A4.

    The same page gives the same bytes with the same version of weasyprint: no time and no random name is
    written.

    Args:
        html: A self-contained page; an address outside it is an error and nothing is fetched.
        style: Rules for paper only, such as the fonts.

    Raises:
        MissingDependency: weasyprint or its system library is not installed.
    """
    missing = why_no_pdf()
    if missing is not None:
        raise missing
    import weasyprint
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcher

    only_inside = URLFetcher(allowed_protocols=("data",), fail_on_errors=True)
    with _fixed_time():
        fonts = FontConfiguration()
        sheet = weasyprint.CSS(string=style, font_config=fonts, url_fetcher=only_inside)
        page = weasyprint.HTML(string=html, url_fetcher=only_inside)
        data: bytes = page.write_pdf(stylesheets=[sheet], font_config=fonts, pdf_identifier=b"synsight")
    return data


def paper_style(text: str, *, family: str) -> str:
    """Rules that make the PDF use embedded fonts only.

    Args:
        text: All letters that may stand on the paper.
        family: What stands first, as "Page Latin".
    """
    own = f'html {{ font-family: "{family}", "Page Latin", "Page Japanese", sans-serif !important; }}\n'
    return latin_faces(text) + own + "pre { font-family: inherit !important; }\n"


@contextmanager
def _fixed_time() -> Iterator[None]:
    """The fonts' time stamps stand still, as reproducible builds ask of `SOURCE_DATE_EPOCH`."""
    given = os.environ.get(EPOCH)
    os.environ.setdefault(EPOCH, "0")
    try:
        yield
    finally:
        if given is None:
            del os.environ[EPOCH]
