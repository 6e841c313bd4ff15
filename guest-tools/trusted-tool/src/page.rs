//! Pages in place of an upstream's answer. Most come from a proxy and report an error.

/// Elements with text that no reader sees.
const UNSEEN: [&str; 2] = ["script", "style"];
const ENTITIES: [(&str, &str); 6] = [
    ("&nbsp;", " "),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&amp;", "&"),
];

/// The visible text of a page, on one line. This is no parser, because a page about an error is
/// simple.
pub fn without_tags(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        text.push(' ');
        rest = after_tag(&rest[start..]);
    }
    text.push_str(rest);
    for (entity, meant) in ENTITIES {
        text = text.replace(entity, meant);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The page after the tag that it begins with. If the element's text is invisible, the page after
/// the element.
fn after_tag(page: &str) -> &str {
    let unseen = UNSEEN.into_iter().find(|name| is_at(name, &page[1..]));
    let end = match unseen {
        // Look ahead only as far as the end tag, so that a page is read once, whatever it holds.
        Some(name) => page
            .match_indices("</")
            .map(|(at, _)| at)
            .find(|at| is_at(name, &page[at + 2..])),
        None => Some(0),
    };
    end.and_then(|end| page[end..].split_once('>'))
        .map_or("", |(_, rest)| rest)
}

/// Whether `page` continues with a name, in any case.
fn is_at(name: &str, page: &str) -> bool {
    let head = page.get(..name.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readers_text_is_left() {
        for (page, text) in [
            ("", ""),
            ("plain  text\n", "plain text"),
            (
                "<html><title>502</title><h1>Bad &amp; gateway",
                "502 Bad & gateway",
            ),
            ("<STYLE>a{b:c}</Style>seen<script>x<y</SCRIPT>.", "seen ."),
            ("before<script>never closed", "before"),
            (
                "<p>&lt;b&gt; &quot;it&#39;s&quot;&nbsp;</p>",
                "<b> \"it's\"",
            ),
            ("before<html", "before"),
            ("<\u{e9}>a", "a"),
        ] {
            assert_eq!(without_tags(page), text, "{page}");
        }
    }
}
