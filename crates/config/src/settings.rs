//! `--set key=value`: settings of the command line, put into the tree before it is checked.

use serde_json::Value as Schema;

use crate::check::{Check, join};
use crate::node::{Key, Node, Value};
use crate::place::{At, Texts};
use crate::schema::{alternatives, choice, required, schema_is_choice};
use crate::yaml;

/// A setting that could be read.
pub(crate) struct Setting {
    path: Vec<Key>,
    value: Node,
}

/// Reads `key=value`; the value is YAML.
pub(crate) fn read(content: &str, texts: &mut Texts) -> Result<Setting, (At, String, Option<String>)> {
    let text = texts.add_setting(content);
    let whole = At { text, line: 1, column: 1, length: content.chars().count().max(1) };
    let Some((keys, value)) = content.split_once('=') else {
        return Err((whole, "expected KEY=VALUE".to_owned(), Some("as in `loader.workers=8`".to_owned())));
    };
    let mut path = Vec::new();
    let mut column = 1;
    for name in keys.split('.') {
        let length = name.chars().count();
        let at = At { text, line: 1, column, length: length.max(1) };
        if name.trim().is_empty() {
            return Err((at, "a key is empty".to_owned(), Some("as in `loader.workers=8`".to_owned())));
        }
        path.push(Key { name: name.trim().to_owned(), at });
        column += length + 1;
    }
    if 32 < path.len() {
        return Err((whole, format!("{} keys in one another; no setting is that deep", path.len()), None));
    }
    let at = At { text, line: 1, column, length: value.chars().count().max(1) };
    let value = if value.trim().is_empty() {
        Node { value: Value::Text(String::new()), at }
    } else {
        yaml::parse(value, text, column - 1).map_err(|fault| (fault.at, fault.message, None))?
    };
    Ok(Setting { path, value })
}

/// Puts a setting into the tree. A choice of another name replaces the one that is there; `null` takes a key out; a
/// number addresses an element of a list.
pub(crate) fn apply(root: &mut Node, setting: Setting, schema: &Schema, check: &mut Check<'_>) {
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    put(root, &setting.path, setting.value, Some(schema), &definitions, "", check);
}

fn put(
    node: &mut Node,
    path: &[Key],
    value: Node,
    schema: Option<&Schema>,
    definitions: &Schema,
    so_far: &str,
    check: &mut Check<'_>,
) {
    let Some((key, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    let below = join(so_far, &key.name);
    match &mut node.value {
        Value::List(items) => {
            let count = items.len();
            let item = key.name.parse::<usize>().ok().and_then(|at| items.get_mut(at));
            let Some(item) = item else {
                let message =
                    format!("`{}` is no element of this list of {count}, numbered from 0", key.name);
                return check.add(key.at, &below, message, None);
            };
            let items = schema.and_then(|schema| {
                alternatives(schema, definitions).into_iter().find_map(|one| one.get("items"))
            });
            return put(item, rest, value, items, definitions, &below, check);
        }
        Value::Map(_) => {}
        // A bare word stands for a choice without settings; anything else makes way.
        Value::Text(word) if *word == key.name => {
            let empty = Node { value: Value::Map(Vec::new()), at: node.at };
            node.value = Value::Map(vec![(Key { name: word.clone(), at: node.at }, empty)]);
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            *node = Node { value: Value::Map(Vec::new()), at: key.at };
        }
    }
    let Value::Map(entries) = &mut node.value else { return };
    let next = schema.and_then(|schema| step(schema, definitions, &key.name));
    if let Some(Step { replaces, .. }) = &next {
        entries.retain(|(other, _)| !replaces.contains(&other.name));
    }
    if rest.is_empty() && matches!(value.value, Value::Null) {
        entries.retain(|(other, _)| other.name != key.name);
        return;
    }
    let at = entries.iter().position(|(other, _)| other.name == key.name).unwrap_or_else(|| {
        entries.push((key.clone(), Node { value: Value::Map(Vec::new()), at: key.at }));
        entries.len() - 1
    });
    if rest.is_empty() {
        entries[at].0 = key.clone();
    }
    put(&mut entries[at].1, rest, value, next.map(|step| step.schema), definitions, &below, check);
}

/// What a key leads to.
struct Step<'a> {
    schema: &'a Schema,
    /// The other keys of the same choice.
    replaces: Vec<String>,
}

fn step<'a>(schema: &'a Schema, definitions: &'a Schema, name: &str) -> Option<Step<'a>> {
    let alternatives = alternatives(schema, definitions);
    if 1 < alternatives.len() || schema_is_choice(schema, definitions) {
        let choices: Vec<(&str, &Schema)> = alternatives.iter().filter_map(|one| choice(one)).collect();
        if let Some((_, body)) = choices.iter().find(|(other, _)| *other == name) {
            let others = choices.iter().map(|(other, _)| *other).filter(|other| *other != name);
            return Some(Step { schema: body, replaces: others.map(str::to_owned).collect() });
        }
    }
    for one in alternatives {
        if let Some(below) = one.get("properties").and_then(|all| all.get(name)) {
            let exclusive: Vec<&str> = one
                .get("oneOf")
                .and_then(Schema::as_array)
                .map(|all| all.iter().flat_map(|one| required(one)).collect())
                .unwrap_or_default();
            let replaces = if exclusive.contains(&name) {
                exclusive.into_iter().filter(|other| *other != name).map(str::to_owned).collect()
            } else {
                Vec::new()
            };
            return Some(Step { schema: below, replaces });
        }
    }
    None
}
