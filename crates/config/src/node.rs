//! A document as a tree that knows where each part stands.

use serde_json::{Map, Number};

use crate::place::At;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: At,
}

/// What a node can be.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) at: At,
}

impl Node {
    /// Returns the value of a key.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Returns the place of what `path` names, or of the nearest part above it that is there.
    pub(crate) fn place_of(&self, path: &[&str]) -> At {
        let (mut node, mut at) = (self, self.at);
        for step in path {
            let next = match &node.value {
                Value::Map(entries) => entries
                    .iter()
                    .find(|(key, _)| key.name == *step)
                    .map(|(key, node)| (if node.is_scalar() { node.at } else { key.at }, node)),
                Value::List(items) => {
                    step.parse::<usize>().ok().and_then(|i| items.get(i)).map(|node| (node.at, node))
                }
                _ => None,
            };
            let Some(found) = next else { break };
            (at, node) = found;
        }
        at
    }

    /// Returns whether this is neither a list nor a map.
    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(self.value, Value::List(_) | Value::Map(_))
    }

    /// Returns the value without places. Numbers that JSON lacks become null; the check has refused them before.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => Number::from_f64(*value as f64).map_or(serde_json::Value::Null, Into::into),
            },
            Value::Float(value) => Number::from_f64(*value).map_or(serde_json::Value::Null, Into::into),
            Value::Text(value) => value.clone().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key.name.clone(), node.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    /// Says what this is, to a person who expected something else.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Integer(value) => format!("`{value}`"),
            Value::Float(value) => format!("`{value:?}`"),
            Value::Text(value) if value.chars().count() <= 40 => {
                format!("the text `{}`", value.escape_debug())
            }
            Value::Text(_) => "a text".to_owned(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}
