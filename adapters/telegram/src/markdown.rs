//! CommonMark to what Telegram can show: a text and marks on it. Pure, and it never fails: what is no markdown stays as it reads.
//!
//! Invariants: offsets are UTF-16 units; marks never cross a surrogate pair or the text's end; code holds no other mark; quotes do not
//! nest; the text neither begins nor ends with a blank line.
//! Not here: Telegram's size limit (see `split`).

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use url::Url;

use crate::table::Table;

/// A text with marks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rich {
    pub(crate) text: String,
    /// In order of their starts.
    pub(crate) marks: Vec<Mark>,
}

/// A stretch of text that looks different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) style: Style,
    /// First UTF-16 unit.
    pub(crate) start: usize,
    /// One past the last.
    pub(crate) end: usize,
}

/// How.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Style {
    Quote,
    Link(String),
    Bold,
    Italic,
    Strike,
    Code,
    Pre(Option<String>),
}

/// Renders an answer.
pub(crate) fn render(source: &str) -> Rich {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    let mut page = Page::default();
    for event in Parser::new_ext(source, options) {
        page.event(event);
    }
    let rich = page.finish();
    if rich.text.trim().is_empty() {
        // markdown that shows nothing (a link definition, say) is shown as it was written
        return Rich { text: clean(source.trim()), marks: Vec::new() };
    }
    rich
}

/// Telegram drops control characters, which would shift every offset behind them.
fn clean(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

#[derive(Default)]
struct Page {
    rich: Rich,
    /// UTF-16 units written.
    units: usize,
    /// Line breaks owed before the next text.
    owed: usize,
    bold: usize,
    italic: usize,
    strike: usize,
    quote: usize,
    /// Where the marks of the open quote begin.
    open_quote: Option<usize>,
    links: Vec<Link>,
    lists: Vec<Option<u64>>,
    code: Option<(Option<String>, String)>,
    html: Option<String>,
    table: Option<Table>,
}

struct Link {
    target: String,
    text_from: usize,
}

impl Page {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.plain(&text),
            Event::Code(code) => match &mut self.table {
                Some(table) => table.push(&code),
                None => self.write(&code, Some(Style::Code)),
            },
            Event::Html(html) | Event::InlineHtml(html) => self.html(&html),
            Event::SoftBreak | Event::HardBreak => self.plain("\n"),
            Event::Rule => {
                self.owe(2);
                self.plain("———");
                self.owe(2);
            }
            Event::TaskListMarker(done) => self.plain(if done { "☑ " } else { "☐ " }),
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.plain(&text),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.owe(2);
                self.bold += 1;
            }
            Tag::Strong => self.bold += 1,
            Tag::Emphasis => self.italic += 1,
            Tag::Strikethrough => self.strike += 1,
            Tag::BlockQuote(_) => {
                self.owe(if self.quote == 0 { 2 } else { 1 });
                self.quote += 1;
            }
            Tag::CodeBlock(kind) => {
                self.owe(if self.lists.is_empty() { 2 } else { 1 });
                self.code = Some((language(&kind), String::new()));
            }
            Tag::HtmlBlock => self.html = Some(String::new()),
            Tag::List(first) => {
                self.owe(1);
                self.lists.push(first);
            }
            Tag::Item => self.item(),
            Tag::Table(_) => {
                self.owe(2);
                self.table = Some(Table::default());
            }
            Tag::Link { dest_url, .. } => self.open_link(&dest_url),
            Tag::Image { dest_url, .. } => {
                self.plain("🖼 ");
                self.open_link(&dest_url);
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.bold -= 1;
                self.owe(2);
            }
            TagEnd::Strong => self.bold -= 1,
            TagEnd::Emphasis => self.italic -= 1,
            TagEnd::Strikethrough => self.strike -= 1,
            TagEnd::Paragraph => self.owe(2),
            TagEnd::BlockQuote(_) => {
                self.quote -= 1;
                if self.quote == 0 {
                    self.open_quote = None;
                }
                self.owe(2);
            }
            TagEnd::CodeBlock => self.close_code(),
            TagEnd::HtmlBlock => self.close_html(),
            TagEnd::Item => self.owe(1),
            TagEnd::List(_) => {
                self.lists.pop();
                self.owe(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::TableCell => self.with_table(Table::end_cell),
            TagEnd::TableRow | TagEnd::TableHead => self.with_table(Table::end_row),
            TagEnd::Table => {
                if let Some(text) = self.table.take().map(|table| table.lay_out()).filter(|text| !text.is_empty()) {
                    self.write(&text, Some(Style::Pre(None)));
                }
                self.owe(2);
            }
            TagEnd::Link | TagEnd::Image => self.close_link(),
            _ => {}
        }
    }

    fn with_table(&mut self, step: fn(&mut Table)) {
        if let Some(table) = &mut self.table {
            step(table);
        }
    }

    fn owe(&mut self, breaks: usize) {
        self.owed = self.owed.max(breaks);
    }

    fn plain(&mut self, text: &str) {
        if let Some((_, code)) = &mut self.code {
            code.push_str(text);
        } else if let Some(table) = &mut self.table {
            table.push(text);
        } else {
            self.write(text, None);
        }
    }

    fn item(&mut self) {
        self.owe(1);
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{indent}{number}. ");
                *number += 1;
                marker
            }
            _ => format!("{indent}• "),
        };
        self.plain(&marker);
        // the item's first block stands beside its marker
        self.owed = 0;
    }

    fn html(&mut self, html: &str) {
        let tag = html.trim().to_lowercase();
        if let Some(block) = &mut self.html {
            block.push_str(html);
        } else if matches!(tag.as_str(), "<br>" | "<br/>" | "<br />") {
            self.plain("\n");
        } else {
            self.plain(html);
        }
    }

    fn close_html(&mut self) {
        if let Some(block) = self.html.take() {
            self.owe(2);
            self.plain(block.trim_end());
            self.owe(2);
        }
    }

    fn close_code(&mut self) {
        let Some((language, code)) = self.code.take() else { return };
        let code = code.trim_end_matches('\n');
        if !code.is_empty() {
            self.write(code, Some(Style::Pre(language)));
        }
        self.owe(if self.lists.is_empty() { 2 } else { 1 });
    }

    fn open_link(&mut self, target: &str) {
        self.links.push(Link { target: target.to_owned(), text_from: self.rich.text.len() });
    }

    /// A target that Telegram would not take is written out; a link without words shows its target.
    fn close_link(&mut self) {
        let Some(link) = self.links.pop() else { return };
        if let Some(table) = &mut self.table {
            table.push(&format!(" ({})", link.target));
            return;
        }
        let words = self.rich.text.get(link.text_from..).unwrap_or_default().trim().to_owned();
        if words.is_empty() {
            self.write(&link.target, None);
        } else if linkable(&link.target).is_none() && !link.target.is_empty() && !link.target.ends_with(&words) {
            self.write(&format!(" ({})", link.target), None);
        }
    }

    /// Writes a run of text with every mark that is open.
    fn write(&mut self, text: &str, style: Option<Style>) {
        let text = clean(text);
        if text.is_empty() {
            return;
        }
        let breaks = std::mem::take(&mut self.owed);
        if !self.rich.text.is_empty() {
            self.rich.text.extend(std::iter::repeat_n('\n', breaks));
            self.units += breaks;
        }
        let start = self.units;
        self.units += text.chars().map(char::len_utf16).sum::<usize>();
        self.rich.text.push_str(&text);
        self.mark_quote(start);
        let link = self.links.last().and_then(|link| linkable(&link.target)).filter(|target| target != &text);
        if let Some(pre @ Style::Pre(_)) = style {
            return self.mark(pre, start);
        }
        // code may hold no other mark, and a link is worth more than the typeface of code
        match (link, style) {
            (Some(target), None) => self.mark(Style::Link(target), start),
            (Some(target), Some(_)) => return self.mark(Style::Link(target), start),
            (None, Some(style)) => return self.mark(style, start),
            (None, None) => {}
        }
        let open = [(self.bold, Style::Bold), (self.italic, Style::Italic), (self.strike, Style::Strike)];
        for (_, style) in open.into_iter().filter(|(depth, _)| *depth > 0) {
            self.mark(style, start);
        }
    }

    /// Marks up to here; lengthens a mark of the same style that ends where this one starts.
    fn mark(&mut self, style: Style, start: usize) {
        let end = self.units;
        let joins = |mark: &&mut Mark| mark.end == start && mark.style == style && !matches!(style, Style::Pre(_));
        match self.rich.marks.iter_mut().rev().find(joins) {
            Some(mark) => mark.end = end,
            None => self.rich.marks.push(Mark { style, start, end }),
        }
    }

    fn mark_quote(&mut self, start: usize) {
        if self.quote == 0 {
            return;
        }
        let end = self.units;
        match self.open_quote.and_then(|index| self.rich.marks.get_mut(index)) {
            Some(mark) => mark.end = end,
            None => {
                self.open_quote = Some(self.rich.marks.len());
                self.rich.marks.push(Mark { style: Style::Quote, start, end });
            }
        }
    }

    fn finish(mut self) -> Rich {
        self.close_html();
        self.rich.marks.sort_by_key(|mark| (mark.start, usize::MAX - mark.end));
        self.rich
    }
}

fn language(kind: &CodeBlockKind<'_>) -> Option<String> {
    let CodeBlockKind::Fenced(info) = kind else { return None };
    let word = info.split([' ', ',', '{', '\t']).next().unwrap_or_default();
    (!word.is_empty()).then(|| clean(word))
}

/// The target as Telegram takes it.
fn linkable(target: &str) -> Option<String> {
    let url = Url::parse(target).ok()?;
    let known = matches!(url.scheme(), "http" | "https" | "tg") && (url.scheme() == "tg" || url.host().is_some());
    known.then(|| url.to_string())
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
