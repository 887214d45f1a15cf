//! The schema of a configuration: made from the types, completed, and walked by the check.

use serde_json::{Map, Value, json};

use crate::file::File;

/// Returns the JSON Schema (2020-12) of a configuration file, with a description for each key.
///
/// It is what files are checked against, so an editor that knows it and [`Config`](crate::Config) say the same.
pub fn schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!("A run of Batchwright"));
    }
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    complete(&mut schema, &definitions);
    schema
}

/// Lets a choice whose settings all have defaults be written as its bare word, everywhere in a schema.
fn complete(schema: &mut Value, definitions: &Value) {
    if let Some(alternatives) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        let mut words = Vec::new();
        for alternative in alternatives.iter() {
            let Some((name, body)) = choice(alternative) else { continue };
            let body = follow(body, definitions);
            if required(body).is_empty() && allows(body, "object") {
                let description = alternative.get("description").cloned().unwrap_or_default();
                words.push(json!({ "const": name, "type": "string", "description": description }));
            }
        }
        alternatives.extend(words);
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(|value| complete(value, definitions)),
        Value::Array(items) => items.iter_mut().for_each(|value| complete(value, definitions)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Follows a reference to a definition.
pub(crate) fn follow<'a>(schema: &'a Value, definitions: &'a Value) -> &'a Value {
    let mut schema = schema;
    // Definitions of ours refer to each other in short chains.
    for _ in 0..8 {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
        match name.and_then(|name| definitions.get(name)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// Returns the name and the body of an alternative of a choice in which one key names it.
pub(crate) fn choice(schema: &Value) -> Option<(&str, &Value)> {
    let properties = schema.get("properties")?.as_object()?;
    let (name, body) = properties.iter().next()?;
    (properties.len() == 1 && required(schema) == [name.as_str()]).then_some((name.as_str(), body))
}

/// Returns the keys that must be given.
pub(crate) fn required(schema: &Value) -> Vec<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Returns whether a schema allows a type by name.
pub(crate) fn allows(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

/// Returns the alternatives of a schema, those of its alternatives included.
pub(crate) fn alternatives<'a>(schema: &'a Value, definitions: &'a Value) -> Vec<&'a Value> {
    let mut found = Vec::new();
    collect(schema, definitions, 0, &mut found);
    found
}

fn collect<'a>(schema: &'a Value, definitions: &'a Value, depth: usize, found: &mut Vec<&'a Value>) {
    let schema = follow(schema, definitions);
    let several = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    match several {
        // `oneOf` beside `properties` says which keys go together.
        Some(several) if schema.get("properties").is_none() && depth < 8 => {
            for one in several {
                collect(one, definitions, depth + 1, found);
            }
        }
        _ => found.push(schema),
    }
}

/// What stands at a path of the schema.
pub(crate) enum Shape<'a> {
    /// A mapping with these keys. `choice` says that one of them is given.
    Object { keys: &'a [String], choice: bool },
    /// A key, with its schema as it is written (before its reference is followed), and whether it must be given.
    Key { schema: &'a Value, required: bool },
}

/// Visits every mapping and key of a schema, from the top down, in the order of the types.
pub(crate) fn walk(schema: &Value, visit: &mut dyn FnMut(&str, Shape<'_>)) {
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    walk_below(schema, &definitions, "", 0, visit);
}

fn walk_below(
    schema: &Value,
    definitions: &Value,
    path: &str,
    depth: usize,
    visit: &mut dyn FnMut(&str, Shape<'_>),
) {
    if 12 < depth {
        return;
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let alternatives = alternatives(schema, definitions);
    let choices: Vec<(&str, &Value, &Value)> = alternatives
        .iter()
        .filter(|_| 1 < alternatives.len() || schema_is_choice(schema, definitions))
        .filter_map(|one| choice(one).map(|(name, body)| (name, body, *one)))
        .collect();
    if !choices.is_empty() {
        let keys: Vec<String> = choices.iter().map(|(name, ..)| (*name).to_owned()).collect();
        visit(path, Shape::Object { keys: &keys, choice: true });
        for (name, body, whole) in &choices {
            let mut described = (*body).clone();
            // The alternative is described, its body is the settings.
            if let (Some(object), Some(text)) = (described.as_object_mut(), whole.get("description")) {
                object.entry("description").or_insert_with(|| text.clone());
            }
            visit(&below(name), Shape::Key { schema: &described, required: false });
            walk_below(body, definitions, &below(name), depth + 1, visit);
        }
        return;
    }
    for one in alternatives {
        if let Some(items) = one.get("items") {
            walk_below(items, definitions, &format!("{path}[]"), depth + 1, visit);
        }
        let empty = Map::new();
        let properties = one.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        if properties.is_empty() {
            continue;
        }
        let keys: Vec<String> = properties.keys().cloned().collect();
        visit(path, Shape::Object { keys: &keys, choice: false });
        let required = required(one);
        for (name, below_it) in properties {
            visit(&below(name), Shape::Key { schema: below_it, required: required.contains(&name.as_str()) });
            walk_below(below_it, definitions, &below(name), depth + 1, visit);
        }
    }
}

/// Returns whether the alternatives of a schema are choices even where there is only one.
pub(crate) fn schema_is_choice(schema: &Value, definitions: &Value) -> bool {
    let schema = follow(schema, definitions);
    schema.get("properties").is_none() && schema.get("oneOf").is_some()
}
