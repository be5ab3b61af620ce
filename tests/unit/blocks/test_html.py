import sys

import pytest

from conduit.blocks import html_to_text
from conduit.errors import BlockInputError, MissingDependency

PAGE = """<html><head><title>T</title><style>x{}</style></head>
<body><nav>Menu</nav><main><h1>Hello   <b>World</b></h1>
<p>One
two&nbsp;three <a href="https://e.org/m">manual</a>.</p><ul><li>a</li><li>b <i>c</i></li></ul><pre>  x = 1
    y</pre><table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table><script>bad()</script>
<p hidden>no</p><!-- c --><template>no</template>before<br><br>after</main></body>"""


def test_a_page_becomes_what_a_reader_sees():
    assert html_to_text(PAGE, links=True) == (
        "Menu\n\nHello World\n\nOne two three manual (https://e.org/m).\n\n- a\n- b c\n\n  x = 1\n    y\n\n"
        "A\tB\n1\t2\n\nbefore\n\nafter"
    )


def test_a_selector_takes_its_parts_once_each():
    html = "<nav>no</nav><main>a</main><main>b<main>c</main></main><p>x"
    assert html_to_text(html, select="main") == "a\n\nb\nc"
    assert html_to_text(html, select="article") == ""
    with pytest.raises(BlockInputError) as caught:
        html_to_text(html, select="[[")
    assert caught.value.parameter == "select"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("just text", "just text"),
        ("a &lt;b&gt; &amp; &#x1F600;", "a <b> & 😀"),
        ("<p>open<p>and open<div>nested <b>wrong</div></b>", "open\n\nand open\n\nnested wrong"),
        ("a\0b", "a\ufffdb"),
        ("\ud800x", "?x"),
        ("<p>" + "<i>" * 50_000 + "deep", "deep"),
    ],
)
def test_what_is_no_good_html_is_read_as_a_browser_does(html, text):
    assert html_to_text.raw(html) == text


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    with pytest.raises(MissingDependency, match="selectolax") as caught:
        html_to_text("x")
    assert "conduit-dataflow[html]" in caught.value.hint
