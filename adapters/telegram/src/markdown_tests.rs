//! What models write, and how it looks in Telegram.

use proptest::prelude::*;

use super::*;

/// The text with its marks written in: `<bold>…</bold>`.
fn drawn(source: &str) -> String {
    let rich = render(source);
    let name = |style: &Style| match style {
        Style::Bold => "b".to_owned(),
        Style::Italic => "i".to_owned(),
        Style::Strike => "s".to_owned(),
        Style::Code => "code".to_owned(),
        Style::Quote => "quote".to_owned(),
        Style::Pre(language) => format!("pre:{}", language.as_deref().unwrap_or_default()),
        Style::Link(target) => format!("a:{target}"),
    };
    let mut out = String::new();
    let mut at = 0;
    for c in rich.text.chars().map(Some).chain([None]) {
        for mark in rich.marks.iter().rev().filter(|mark| mark.end == at) {
            out.push_str(&format!("</{}>", name(&mark.style)));
        }
        for mark in rich.marks.iter().filter(|mark| mark.start == at) {
            out.push_str(&format!("<{}>", name(&mark.style)));
        }
        if let Some(c) = c {
            out.push(c);
            at += c.len_utf16();
        }
    }
    out
}

#[test]
fn inline_styles_become_marks() {
    assert_eq!(
        drawn("👉 **bold *both*** ~~gone~~ `co*de`"),
        "👉 <b>bold <i>both</i></b> <s>gone</s> <code>co*de</code>"
    );
}

#[test]
fn code_inside_bold_is_code_only() {
    assert_eq!(drawn("**a `b` c**"), "<b>a </b><code>b</code><b> c</b>");
}

#[test]
fn blocks_are_set_apart() {
    let source = "# Title\ntext\nmore\n\n- one\n- two\n  - deep\n\n3. three\n4. four\n\n> quoted\n> *on*\n\n---\nend";
    let expected = "<b>Title</b>\n\ntext\nmore\n\n• one\n• two\n  • deep\n\n3. three\n4. four\n\n<quote>quoted\n<i>on</i></quote>\n\n———\n\nend";
    assert_eq!(drawn(source), expected);
}

#[test]
fn code_blocks_keep_their_language_and_lines() {
    assert_eq!(drawn("see:\n```rust\nfn a() {\n\n}\n```\ndone"), "see:\n\n<pre:rust>fn a() {\n\n}</pre:rust>\n\ndone");
}

#[test]
fn a_fence_that_is_still_open_is_code_so_far() {
    assert_eq!(drawn("```py\nprint(1)"), "<pre:py>print(1)</pre:py>");
}

#[test]
fn links_keep_their_targets() {
    assert_eq!(drawn("[docs](https://a.b/c) <https://d.e/>"), "<a:https://a.b/c>docs</a:https://a.b/c> https://d.e/");
    assert_eq!(drawn("[here](./file.md)"), "here (./file.md)", "Telegram would drop that link");
    assert_eq!(drawn("![cat](https://a.b/c.png)"), "🖼 <a:https://a.b/c.png>cat</a:https://a.b/c.png>");
}

#[test]
fn tables_are_laid_out() {
    assert_eq!(drawn("| a | 你好 |\n|---|---|\n| eins | zwei |"), "<pre:>a     你好\n----  ----\neins  zwei</pre:>");
}

#[test]
fn what_is_no_markdown_stays_as_it_reads() {
    assert_eq!(drawn("2 * 3 > 1 & a_b_c <b>x</b> **open"), "2 * 3 > 1 & a_b_c <b>x</b> **open");
    assert_eq!(drawn("[x]: https://a.b"), "[x]: https://a.b");
    assert_eq!(drawn("a\u{7}b"), "ab");
}

#[test]
fn task_lists_show_their_state() {
    assert_eq!(drawn("- [x] done\n- [ ] open"), "• ☑ done\n• ☐ open");
}

proptest! {
    #[test]
    fn any_text_gives_marks_within_the_text(source in any::<String>()) {
        check(&source)?;
    }

    #[test]
    fn any_markdown_gives_marks_within_the_text(source in "([a-z👉 ]|\\*|\\*\\*|_|`|```|\n|\n\n|> |- |1\\. |# |\\[|\\]\\(http://a\\.b\\)|~~|\\||<|>){0,60}") {
        check(&source)?;
    }
}

fn check(source: &str) -> Result<(), TestCaseError> {
    let rich = render(source);
    let mut borders = vec![0];
    for c in rich.text.chars() {
        borders.push(borders.last().unwrap() + c.len_utf16());
    }
    for mark in &rich.marks {
        prop_assert!(mark.start < mark.end, "{mark:?}");
        prop_assert!(
            borders.binary_search(&mark.start).is_ok() && borders.binary_search(&mark.end).is_ok(),
            "{mark:?}"
        );
    }
    let shown = source.chars().any(|c| c.is_alphanumeric());
    prop_assert!(!shown || !rich.text.trim().is_empty());
    Ok(())
}
