//! A long text in pieces that Telegram takes. Pure.
//!
//! Invariants: every piece is at most `limit` UTF-16 units and shows something; nothing but blanks at the seams is lost; a mark that
//! crosses a seam goes on in the next piece (so code stays code); no character is cut.

use crate::markdown::{Mark, Rich};

/// Splits at paragraphs, else at lines, else at words, else anywhere.
pub(crate) fn split(rich: &Rich, limit: usize) -> Vec<Rich> {
    let text = rich.text.as_str();
    let (mut pieces, mut at, mut units) = (Vec::new(), 0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let blank = leading_lines(rest);
        if blank > 0 {
            at += blank;
            units += utf16(rest.get(..blank).unwrap_or_default());
            continue;
        }
        let length = piece(rest, limit);
        let whole = rest.get(..length).unwrap_or(rest);
        let kept = whole.trim_end();
        if !kept.is_empty() {
            pieces.push(Rich { text: kept.to_owned(), marks: cut(&rich.marks, units, units + utf16(kept)) });
        }
        at += whole.len();
        units += utf16(whole);
    }
    pieces
}

fn utf16(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Bytes of blank lines at the start; the indentation of the first line with words stays.
fn leading_lines(text: &str) -> usize {
    let blanks = text.len() - text.trim_start().len();
    if blanks == text.len() {
        return blanks;
    }
    text.get(..blanks).and_then(|blanks| blanks.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// How many bytes of `rest` the next piece takes.
fn piece(rest: &str, limit: usize) -> usize {
    let mut units = 0;
    let mut end = rest.len();
    for (byte, c) in rest.char_indices() {
        units += c.len_utf16();
        if units > limit {
            end = byte;
            break;
        }
    }
    if end == rest.len() {
        return end;
    }
    let window = rest.get(..end).unwrap_or_default();
    // a seam in the first half would make many small pieces
    let late = |at: &usize| *at >= end / 2;
    let paragraph = window.rfind("\n\n").map(|at| at + 2).filter(late);
    let line = || window.rfind('\n').map(|at| at + 1).filter(late);
    let word = || window.rfind(char::is_whitespace).filter(late).map(|at| at + blank_len(window, at));
    paragraph.or_else(line).or_else(word).unwrap_or_else(|| before_joiner(window)).max(first_len(rest))
}

fn blank_len(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
}

fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// The window's end, moved back when an emoji made of several characters would be cut there.
fn before_joiner(window: &str) -> usize {
    let joins = |c: char| matches!(c, '\u{200d}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{300}'..='\u{36f}');
    let tail: Vec<(usize, char)> = window.char_indices().rev().take(16).collect();
    // the last character may go on in the next piece: give it to that piece when it is part of a joined one
    let last_joined = tail.iter().take_while(|(_, c)| joins(*c)).count();
    match tail.get(last_joined) {
        Some((at, _)) if last_joined > 0 => *at,
        _ => window.len(),
    }
}

/// The marks between two UTF-16 offsets, counted from the first.
fn cut(marks: &[Mark], from: usize, to: usize) -> Vec<Mark> {
    let part = |mark: &Mark| {
        let (start, end) = (mark.start.max(from), mark.end.min(to));
        (start < end).then(|| Mark { style: mark.style.clone(), start: start - from, end: end - from })
    };
    marks.iter().filter_map(part).collect()
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
