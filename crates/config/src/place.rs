//! Where something stands in the texts a configuration is made of.

use std::fmt;

/// A place in one of the [`Texts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    /// The number of the text.
    pub(crate) text: usize,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// In characters; at least 1 when drawn.
    pub(crate) length: usize,
}

/// The file and the settings of the command line.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<Text>);

#[derive(Debug)]
struct Text {
    name: String,
    content: String,
    /// Where each line starts, in bytes.
    lines: Vec<usize>,
    is_setting: bool,
}

impl Text {
    fn new(name: &str, content: &str, is_setting: bool) -> Self {
        let ends = content.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { name: name.to_owned(), content: content.to_owned(), lines, is_setting }
    }

    fn line(&self, number: usize) -> &str {
        let start = self.lines.get(number - 1).copied().unwrap_or(self.content.len());
        let end = self.lines.get(number).copied().unwrap_or(self.content.len());
        self.content[start..end].trim_end_matches(['\n', '\r'])
    }
}

impl Texts {
    /// Adds a file and returns its number.
    pub(crate) fn add_file(&mut self, name: &str, content: &str) -> usize {
        self.0.push(Text::new(name, content, false));
        self.0.len() - 1
    }

    /// Adds a setting of the command line, `key=value`, and returns its number.
    pub(crate) fn add_setting(&mut self, content: &str) -> usize {
        self.0.push(Text::new("--set", content, true));
        self.0.len() - 1
    }

    /// Describes a place to a person.
    pub(crate) fn place(&self, at: At) -> Place {
        let text = &self.0[at.text];
        let line = at.line.max(1);
        let content = text.line(line);
        Place {
            text: at.text,
            source: text.name.clone(),
            is_setting: text.is_setting,
            line,
            column: at.column.max(1),
            length: at.length.max(1),
            excerpt: shorten(content.strip_prefix('\u{feff}').unwrap_or(content)),
        }
    }
}

/// Lines longer than this, in bytes, are not kept whole.
const LONGEST: usize = 10_000;

fn shorten(line: &str) -> String {
    let end = (0..=LONGEST.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    line[..end].to_owned()
}

/// The place of a mistake, with the line it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The name of the file, or `--set`.
    pub source: String,
    /// Whether it stands in a setting of the command line rather than in a file.
    pub is_setting: bool,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters are marked.
    pub length: usize,
    /// The line.
    pub excerpt: String,
    /// The number of the text.
    pub(crate) text: usize,
}

/// The part of a long line that is shown.
const WIDTH: usize = 100;

impl Place {
    /// Writes the line with a caret under the place.
    pub(crate) fn draw(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let characters: Vec<char> = self
            .excerpt
            .trim_end()
            .chars()
            .map(|c| if c.is_control() || c == '\u{feff}' { ' ' } else { c })
            .collect();
        let column = (self.column - 1).min(characters.len());
        // A long line is cut to a window around the place.
        let start = if WIDTH < characters.len() { column.saturating_sub(WIDTH / 2) } else { 0 };
        let end = characters.len().min(start + WIDTH);
        let (before, after) =
            (if 0 < start { "..." } else { "" }, if end < characters.len() { "..." } else { "" });
        let shown: String = characters[start..end].iter().collect();
        let gutter = if self.is_setting { String::new() } else { self.line.to_string() };
        let blank = " ".repeat(gutter.len());
        let offset = before.len() + column - start;
        let carets = self.length.min((end - column.min(end)).max(1));
        writeln!(f, "  {blank} |")?;
        writeln!(f, "  {gutter} | {before}{shown}{after}")?;
        write!(f, "  {blank} | {}{}", " ".repeat(offset), "^".repeat(carets))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_setting {
            write!(f, "--set {}", self.excerpt)
        } else {
            write!(f, "{}:{}:{}", self.source, self.line, self.column)
        }
    }
}
