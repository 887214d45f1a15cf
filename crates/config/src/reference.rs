//! The reference of all keys, made of the schema.

use std::fmt::Write;

use serde_json::Value;

use crate::check::range;
use crate::schema::{Shape, allows, alternatives, follow, schema, walk};

/// Returns the reference of all keys as Markdown.
pub fn reference() -> String {
    let schema = schema();
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    let mut text = String::from(
        "# The keys of a configuration\n\n\
         Made of the types in `crates/config` by a test (`UPDATE_SCHEMA=1 cargo test -p batchwright-config`); \
         `configs/schema.json` says the same to editors. A choice whose settings all have defaults can be written as its \
         bare word: `optimizer: adam`.\n",
    );
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    walk(&schema, &mut |path, shape| match shape {
        Shape::Object { keys, choice } => {
            if choice && 1 < keys.len() {
                let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                let note = format!("One of {}.", names.join(", "));
                rows.push((path.to_owned(), vec![format!("*{note}*")]));
            }
        }
        Shape::Key { schema, required } => {
            let kinds = kinds(schema, &definitions);
            let description = schema
                .get("description")
                .or_else(|| follow(schema, &definitions).get("description"))
                .and_then(Value::as_str)
                .unwrap_or("");
            let default = match (required, schema.get("default")) {
                (true, _) => " Required.".to_owned(),
                (false, Some(value)) if !value.is_null() => format!(" Default: `{}`.", flow(value)),
                (false, _) => String::new(),
            };
            let line = format!("`{path}`: {kinds}. {}{default}", sentence(description));
            rows.push((path.to_owned(), vec![line]));
        }
    });
    let mut section = String::new();
    for (path, lines) in rows {
        let first = path.split(['.', '[']).next().unwrap_or("").to_owned();
        if path.is_empty() {
            continue;
        }
        if first != section {
            let _ = write!(text, "\n## {first}\n\n");
            section = first;
        }
        let indent = "  ".repeat(path.matches('.').count().min(6));
        for line in lines {
            let _ = writeln!(text, "{indent}- {line}");
        }
    }
    text
}

fn sentence(description: &str) -> String {
    description.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kinds(schema: &Value, definitions: &Value) -> String {
    let mut kinds: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for one in alternatives(schema, definitions) {
        if let Some(word) = one.get("const").and_then(Value::as_str) {
            words.push(format!("`{word}`"));
        } else if let Some(listed) = one.get("enum").and_then(Value::as_array) {
            words.extend(
                listed
                    .iter()
                    .map(|word| format!("`{}`", word.as_str().map_or(word.to_string(), str::to_owned))),
            );
        } else if allows(one, "boolean") {
            kinds.push("`true` or `false`".to_owned());
        } else if allows(one, "integer") {
            kinds.push(with_range("whole number", one));
        } else if allows(one, "number") {
            kinds.push(with_range("number", one));
        } else if allows(one, "array") {
            kinds.push("list".to_owned());
        } else if allows(one, "string") {
            kinds.push(match one.get("format").and_then(Value::as_str) {
                Some("byte-size") => "size".to_owned(),
                Some("time-span") => "time".to_owned(),
                _ => "text".to_owned(),
            });
        } else if allows(one, "object") && crate::schema::choice(one).is_none() {
            kinds.push("mapping".to_owned());
        } else if let Some((name, _)) = crate::schema::choice(one) {
            words.push(format!("`{name}`"));
        }
    }
    let mut seen: Vec<String> = Vec::new();
    words.retain(|word| {
        let new = !seen.contains(word);
        seen.push(word.clone());
        new
    });
    kinds.dedup();
    if !words.is_empty() {
        kinds.push(if words.len() == 1 { words.join("") } else { format!("one of {}", words.join(", ")) });
    }
    if kinds.is_empty() { "value".to_owned() } else { kinds.join(" or ") }
}

fn with_range(kind: &str, schema: &Value) -> String {
    range(schema).map_or_else(|| kind.to_owned(), |range| format!("{kind} {range}"))
}

/// Writes a value as YAML in one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(object) if object.is_empty() => "{}".to_owned(),
        Value::Object(object) => {
            let inside: Vec<String> =
                object.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{ {} }}", inside.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
