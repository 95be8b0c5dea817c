//! Properties of splitting, and its favourite seams.

use proptest::prelude::*;

use super::*;
use crate::markdown::{Style, render};

/// Every character that is no blank, with the styles on it.
fn styled(rich: &Rich) -> Vec<(char, Vec<Style>)> {
    let mut at = 0;
    let mut all = Vec::new();
    for c in rich.text.chars() {
        let mut styles: Vec<Style> =
            rich.marks.iter().filter(|mark| mark.start <= at && at < mark.end).map(|mark| mark.style.clone()).collect();
        styles.sort();
        if !c.is_whitespace() {
            all.push((c, styles));
        }
        at += c.len_utf16();
    }
    all
}

fn fits(piece: &Rich, limit: usize) -> bool {
    let borders: Vec<usize> = piece
        .text
        .chars()
        .scan(0, |at, c| {
            *at += c.len_utf16();
            Some(*at)
        })
        .collect();
    let whole = |at: &usize| *at == 0 || borders.contains(at);
    let end = utf16(&piece.text);
    end <= limit
        && !piece.text.trim().is_empty()
        && piece
            .marks
            .iter()
            .all(|mark| mark.start < mark.end && mark.end <= end && whole(&mark.start) && whole(&mark.end))
}

proptest! {
    #[test]
    fn nothing_but_blanks_is_lost_and_every_piece_fits(source in "[a-z 👉é\n*`_#>|-]{0,400}", limit in 4usize..60) {
        let rich = render(&source);
        let pieces = split(&rich, limit);
        prop_assert!(pieces.iter().all(|piece| fits(piece, limit)), "{pieces:?}");
        let together: Vec<_> = pieces.iter().flat_map(styled).collect();
        prop_assert_eq!(together, styled(&rich));
    }
}

fn texts(source: &str, limit: usize) -> Vec<String> {
    split(&render(source), limit).into_iter().map(|piece| piece.text).collect()
}

#[test]
fn paragraphs_are_the_favourite_seams_then_lines_then_words() {
    assert_eq!(texts("aaaa bbbb\n\ncccc dddd", 15), ["aaaa bbbb", "cccc dddd"]);
    assert_eq!(texts("aaaa bbbb\ncccc dddd", 15), ["aaaa bbbb", "cccc dddd"]);
    assert_eq!(texts("aaaa bbbb cccc dddd", 15), ["aaaa bbbb cccc", "dddd"]);
    assert_eq!(texts("aaaabbbbccccdddd", 10), ["aaaabbbbcc", "ccdddd"]);
}

#[test]
fn code_goes_on_as_code_with_its_indentation() {
    let pieces = split(&render("```py\ndef f():\n    return 1\n```"), 12);
    let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(texts, ["def f():", "    return 1"]);
    let pre = Style::Pre(Some("py".into()));
    assert!(pieces.iter().all(|piece| piece.marks == [Mark { style: pre.clone(), start: 0, end: utf16(&piece.text) }]));
}

#[test]
fn a_joined_emoji_stays_whole() {
    let family = "👩\u{200d}👩\u{200d}👧";
    let pieces = texts(&format!("abc{family}"), 6);
    assert_eq!(pieces.concat(), format!("abc{family}"));
    let flags = texts("aaaa e\u{301}x", 6);
    assert!(flags.iter().all(|piece| !piece.starts_with('\u{301}')), "{flags:?}");
}

#[test]
fn a_text_within_the_limit_is_one_piece() {
    let rich = render("**a** b");
    assert_eq!(split(&rich, 4096), [rich]);
    assert!(split(&Rich::default(), 10).is_empty());
}
