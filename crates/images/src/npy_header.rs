//! The header of an NPY file: a dictionary in the notation of Python, read as data and never evaluated.

use crate::numbers::{Endian, Number};

/// NumPy itself has no array of more axes.
const MOST_AXES: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: Number,
    pub(crate) endian: Endian,
    pub(crate) fortran: bool,
    pub(crate) shape: Vec<usize>,
}

/// What stands where in a header that is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unexpected {
    pub(crate) at: usize,
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, the keys in any order, each once.
pub(crate) fn parse(text: &[u8]) -> Result<Header, Unexpected> {
    let mut cursor = Cursor { text, at: 0 };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    cursor.expect(b'{')?;
    while !cursor.eat(b'}') {
        let at = cursor.at;
        let key = cursor.string()?;
        cursor.expect(b':')?;
        let repeated = match key.as_str() {
            "descr" => descr.replace(cursor.descr()?).is_some(),
            "fortran_order" => fortran.replace(cursor.boolean()?).is_some(),
            "shape" => shape.replace(cursor.tuple()?).is_some(),
            _ => true,
        };
        if repeated {
            let expected = "each of `descr`, `fortran_order` and `shape` once".to_owned();
            return Err(Unexpected { at, expected, found: format!("`{key}`") });
        }
        if !cursor.eat(b',') {
            cursor.expect(b'}')?;
            break;
        }
    }
    cursor.space();
    if cursor.at < text.len() {
        return Err(cursor.unexpected("the end of the header"));
    }
    let missing =
        |key: &str| Unexpected { at: 0, expected: format!("a key `{key}`"), found: "none".to_owned() };
    let (number, endian) = descr.ok_or_else(|| missing("descr"))?;
    Ok(Header {
        number,
        endian,
        fortran: fortran.ok_or_else(|| missing("fortran_order"))?,
        shape: shape.ok_or_else(|| missing("shape"))?,
    })
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let here = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(here);
        here
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unexpected> {
        if self.eat(byte) { Ok(()) } else { Err(self.unexpected(&format!("`{}`", char::from(byte)))) }
    }

    fn unexpected(&self, expected: &str) -> Unexpected {
        let rest = &self.text[self.at.min(self.text.len())..];
        let found = if rest.is_empty() {
            "the end of the header".to_owned()
        } else {
            format!("`{}`", rest[..rest.len().min(20)].escape_ascii())
        };
        Unexpected { at: self.at, expected: expected.to_owned(), found }
    }

    fn string(&mut self) -> Result<String, Unexpected> {
        self.space();
        let Some(&quote @ (b'\'' | b'"')) = self.text.get(self.at) else {
            return Err(self.unexpected("a string"));
        };
        let start = self.at + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let Some(length) = rest.iter().position(|&byte| byte == quote) else {
            return Err(self.unexpected("a string that ends"));
        };
        self.at = start + length + 1;
        Ok(rest[..length].escape_ascii().to_string())
    }

    fn descr(&mut self) -> Result<(Number, Endian), Unexpected> {
        self.space();
        let at = self.at;
        let text = self.string().map_err(|error| Unexpected {
            expected: "one type of numbers (not a record)".to_owned(),
            ..error
        })?;
        let (order, kind) = text.split_at_checked(1).unwrap_or(("", &text));
        let native = if cfg!(target_endian = "little") { Endian::Little } else { Endian::Big };
        let endian = match order {
            "<" => Some(Endian::Little),
            ">" => Some(Endian::Big),
            "|" | "=" => Some(native),
            _ => None,
        };
        let number = match kind {
            "b1" => Some(Number::Bool),
            "u1" => Some(Number::U8),
            "i1" => Some(Number::I8),
            "u2" => Some(Number::U16),
            "i2" => Some(Number::I16),
            "u4" => Some(Number::U32),
            "i4" => Some(Number::I32),
            "u8" => Some(Number::U64),
            "i8" => Some(Number::I64),
            "f4" => Some(Number::F32),
            "f8" => Some(Number::F64),
            _ => None,
        };
        number.zip(endian).ok_or_else(|| Unexpected {
            at,
            expected: "a type like `|u1`, `<i4` or `>f8`: booleans, integers, floats of 4 or 8 bytes"
                .to_owned(),
            found: format!("`{text}`"),
        })
    }

    fn boolean(&mut self) -> Result<bool, Unexpected> {
        self.space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("`True` or `False`"))
    }

    fn tuple(&mut self) -> Result<Vec<usize>, Unexpected> {
        let mut sizes = Vec::new();
        self.expect(b'(')?;
        while !self.eat(b')') {
            if sizes.len() == MOST_AXES {
                return Err(self.unexpected(&format!("at most {MOST_AXES} axes")));
            }
            self.space();
            let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = std::str::from_utf8(&self.text[self.at..self.at + digits]).ok();
            let Some(size) = number.and_then(|number| number.parse().ok()) else {
                return Err(self.unexpected("the size of an axis"));
            };
            self.at += digits;
            sizes.push(size);
            if !self.eat(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_notation_may_vary_as_python_allows() {
        let expected = Header { number: Number::F32, endian: Endian::Big, fortran: true, shape: vec![3, 4] };
        for text in [
            "{'descr': '>f4', 'fortran_order': True, 'shape': (3, 4), }   \n",
            "{\"shape\":(3,4,),\"fortran_order\":True,\"descr\":\">f4\"}",
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), expected);
        }
        let scalar = parse(b"{'descr': '|u1', 'fortran_order': False, 'shape': ()}").unwrap();
        assert!(scalar.shape.is_empty());
    }

    #[test]
    fn what_is_no_header_is_named_with_its_place() {
        let text = |header: &str| {
            let Unexpected { at, expected, found } = parse(header.as_bytes()).unwrap_err();
            format!("{at}: {expected}, {found}")
        };
        assert_eq!(
            text("{'descr': [('a', '<f4')]}"),
            "10: one type of numbers (not a record), `[(\\'a\\', \\'<f4\\')]}`"
        );
        assert!(text("{'descr': '<c8'}").starts_with("10: a type like"));
        assert_eq!(text("{'shape': (1, -2)}"), "14: the size of an axis, `-2)}`");
        assert_eq!(
            text("{'shape': (1), 'shape': (2)}"),
            "15: each of `descr`, `fortran_order` and `shape` once, `shape`"
        );
        assert_eq!(text("{'fortran_order': exec()}"), "18: `True` or `False`, `exec()}`");
        assert_eq!(text("{'shape': (1)} x"), "15: the end of the header, `x`");
        assert_eq!(text("{"), "1: a string, the end of the header");
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_damaged_header_panics(at in 0..60_usize, byte in any::<u8>()) {
            let mut text = b"{'descr': '>f4', 'fortran_order': True, 'shape': (3, 4), }  ".to_vec();
            text[at] = byte;
            let _ = parse(&text);
        }
    }
}
