//! The only place that knows the YAML library: text to tree, values to text.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Error, Location, Options, Spanned};

use crate::node::{Key, Node, Value};
use crate::place::At;

/// The largest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The most values of a document, those of aliases included.
const MAX_NODES: usize = 10_000;
/// The most anchors, and the most aliases.
const MAX_ANCHORS: usize = 500;

/// What is no YAML, or too much of it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) at: At,
}

fn options() -> Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_anchors: MAX_ANCHORS,
            max_aliases: MAX_ANCHORS,
            max_recorded_anchor_events: 2 * MAX_NODES,
            max_documents: 1,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// Reads a document. Places are those of text number `text`, shifted right by `shift` characters.
///
/// Time and memory are bounded by the limits above, whatever the document.
pub(crate) fn parse(content: &str, text: usize, shift: usize) -> Result<Node, Fault> {
    let start = At { text, line: 1, column: 1 + shift, length: 1 };
    if MAX_BYTES < content.len() {
        let message = format!("the file has {} bytes; at most {MAX_BYTES} are read", content.len());
        return Err(Fault { message, at: start });
    }
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    let raw: Spanned<Raw> = serde_yaml::from_str_with_options(content, options()).map_err(|error| {
        let error = error.without_snippet();
        let at = error.location().map_or(start, |location| at(location, text, shift));
        Fault { message: too_much(error).unwrap_or_else(|| tidy(&error.to_string())), at }
    })?;
    Ok(raw_to_node(raw, text, shift))
}

/// Writes a value as a document.
pub(crate) fn write(value: &impl Serialize) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|error| error.to_string())
}

/// Says which limit a document goes beyond, if that is what is wrong with it.
fn too_much(error: &Error) -> Option<String> {
    let values = format!("there are more than {MAX_NODES} values");
    let anchors = format!("there are more than {MAX_ANCHORS} anchors or aliases, or they repeat too much");
    Some(match error {
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Documents { .. } => {
                "a second document begins; one file describes one run".to_owned()
            }
            BudgetBreach::Depth { .. } => format!("there are more than {MAX_DEPTH} levels"),
            BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => values,
            BudgetBreach::Aliases { .. }
            | BudgetBreach::Anchors { .. }
            | BudgetBreach::AliasAnchorRatio { .. }
            | BudgetBreach::MergeKeys { .. }
            | BudgetBreach::RecordedAnchorEvents { .. }
            | BudgetBreach::RecordedAnchorBytes { .. } => anchors,
            _ => "there is more of it than a configuration has".to_owned(),
        },
        Error::MultipleDocuments { .. } => "a second document begins; one file describes one run".to_owned(),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => anchors,
        _ if error.to_string().contains("recursion limit exceeded") => {
            format!("there are more than {MAX_DEPTH} levels")
        }
        _ => return None,
    })
}

/// Takes the place out of a message, which is shown apart.
fn tidy(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    let line = message[..end].lines().next().unwrap_or("").trim();
    let line =
        line.split_once(": ").filter(|(head, _)| head.starts_with("line ")).map_or(line, |(_, rest)| rest);
    line.trim_end_matches('.').to_owned()
}

fn at(location: Location, text: usize, shift: usize) -> At {
    let line = (location.line() as usize).max(1);
    let column = (location.column() as usize).max(1) + if line == 1 { shift } else { 0 };
    At { text, line, column, length: (location.span().len() as usize).max(1) }
}

/// A value as the library hands it out.
enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn raw_to_node(raw: Spanned<Raw>, text: usize, shift: usize) -> Node {
    let mut at = at(raw.referenced, text, shift);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Integer(value) => Value::Integer(value),
        Raw::Float(value) => Value::Float(value),
        Raw::Text(value) => Value::Text(value),
        Raw::List(items) => {
            at.length = 1;
            Value::List(items.into_iter().map(|item| raw_to_node(item, text, shift)).collect())
        }
        Raw::Map(entries) => {
            at.length = 1;
            let entry = |(key, value): (Spanned<String>, Spanned<Raw>)| {
                let at = self::at(key.referenced, text, shift);
                (Key { name: key.value, at }, raw_to_node(value, text, shift))
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node { value, at }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Raw, E> {
        Ok(i128::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key_seed(KeySeed)? {
            entries.push((key, access.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

/// A key is text, however it is written.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Spanned<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Spanned::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_knows_its_line_and_column() {
        let node = parse("a: 1\nb:\n  cd: [x, 25]\n", 0, 0).unwrap();
        let cd = node.get("b").unwrap().get("cd").unwrap();
        let Value::List(items) = &cd.value else { panic!("{cd:?}") };
        assert_eq!(items[1].at, At { text: 0, line: 3, column: 11, length: 2 });
        let Value::Map(entries) = &node.value else { panic!("{node:?}") };
        assert_eq!(entries[1].0.at, At { text: 0, line: 2, column: 1, length: 1 });
    }

    #[test]
    fn yes_and_no_are_texts() {
        let node = parse("[yes, no, true]", 0, 0).unwrap();
        let Value::List(items) = node.value else { panic!() };
        assert!(matches!(&items[0].value, Value::Text(text) if text == "yes"));
        assert!(matches!(&items[2].value, Value::Bool(true)));
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        assert!(parse("\u{feff}a: 1", 0, 0).unwrap().get("a").is_some());
    }

    #[test]
    fn merge_keys_are_applied_and_placed_where_they_are_used() {
        let node = parse("base: &b { x: 1 }\nuse:\n  <<: *b\n  y: 2\n", 0, 0).unwrap();
        let x = node.get("use").unwrap().get("x").unwrap();
        assert_eq!(x.at.line, 3);
    }
}
