//! The check of a tree against the schema: every mistake, each with its place.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Schema};

use crate::error::Mistake;
use crate::node::{Key, Node, Value};
use crate::place::{At, Texts};
use crate::schema::{allows, alternatives, choice, follow, required, schema_is_choice};
use crate::suggest::{self, Known};
use crate::units::{ByteSize, TimeSpan};

/// No more mistakes than this are collected.
const MOST: usize = 100;

/// Collects mistakes.
pub(crate) struct Check<'a> {
    texts: &'a Texts,
    definitions: &'a Schema,
    known: &'a Known,
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'a> Check<'a> {
    /// Opens a check against the schema whose definitions and keys these are.
    pub(crate) fn new(texts: &'a Texts, definitions: &'a Schema, known: &'a Known) -> Self {
        Self { texts, definitions, known, mistakes: Vec::new() }
    }

    /// Adds a mistake.
    pub(crate) fn add(&mut self, at: At, key: &str, message: impl Into<String>, help: Option<String>) {
        if self.mistakes.len() < MOST {
            let place = self.texts.place(at);
            self.mistakes.push(Mistake { place, key: key.to_owned(), message: message.into(), help });
        }
    }

    /// Adds an unknown key, among those known in its mapping.
    fn unknown(&mut self, key: &Key, path: &str, here: &[String]) {
        if self.mistakes.len() < MOST {
            let help = self.known.explain(&key.name, here);
            self.add(key.at, path, format!("unknown key `{}`", shorten(&key.name)), Some(help));
        }
    }

    /// Checks `node`, which stands at `path`, whose key stands at `named`. Bare words become the choices they stand
    /// for, and keys that hold nothing where nothing is allowed are taken out.
    pub(crate) fn node(&mut self, node: &mut Node, schema: &Schema, path: &str, named: At) {
        let definitions = self.definitions;
        let alternatives = alternatives(schema, definitions);
        let is_choice = 1 < alternatives.len() || schema_is_choice(schema, definitions);
        let choices: Vec<(&str, &Schema)> =
            alternatives.iter().filter(|_| is_choice).filter_map(|one| choice(one)).collect();
        let at = node.at;
        match &mut node.value {
            Value::Null => {
                if !alternatives.iter().any(|one| allows(one, "null")) {
                    let expected = Self::expected(&alternatives, &choices);
                    let help = "give it a value, or leave the key out".to_owned();
                    self.add(named, path, format!("expected {expected}, found nothing"), Some(help));
                }
            }
            Value::Text(word) => {
                let word = word.clone();
                self.text(node, &word, &alternatives, &choices, path);
            }
            Value::Map(entries) => {
                if !choices.is_empty() {
                    self.choice(entries, &choices, path, at);
                } else if let Some(object) = alternatives.iter().find(|one| allows(one, "object")) {
                    self.object(entries, object, path, at, named);
                } else {
                    self.wrong_type(node, &alternatives, &choices, path);
                }
            }
            Value::List(items) => {
                let Some(list) = alternatives.iter().find(|one| allows(one, "array")) else {
                    return self.wrong_type(node, &alternatives, &choices, path);
                };
                let (least, most) = (count(list, "minItems").unwrap_or(0), count(list, "maxItems"));
                if items.len() < least || most.is_some_and(|most| most < items.len()) {
                    let expected = match most {
                        Some(most) if most == least => format!("a list of {most}"),
                        Some(most) => format!("a list of {least} to {most}"),
                        None => format!("a list of at least {least}"),
                    };
                    self.add(at, path, format!("expected {expected}, found {}", items.len()), None);
                }
                if let Some(schema) = list.get("items") {
                    for (i, item) in items.iter_mut().enumerate() {
                        let at = item.at;
                        self.node(item, schema, &format!("{path}[{i}]"), at);
                    }
                }
            }
            Value::Bool(_) => {
                if !alternatives.iter().any(|one| allows(one, "boolean")) {
                    self.wrong_type(node, &alternatives, &choices, path);
                }
            }
            Value::Integer(value) => {
                let value = *value as f64;
                self.number(node, value, true, &alternatives, &choices, path);
            }
            Value::Float(value) => {
                let value = *value;
                self.number(node, value, false, &alternatives, &choices, path);
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, alternatives: &[&Schema], choices: &[(&str, &Schema)], path: &str) {
        let unit = |one: &Schema| match text_of(one, "format") {
            Some("byte-size") => Some("write the unit too, as in `512 MiB`"),
            Some("time-span") => Some("write the unit too, as in `60 s`"),
            _ => None,
        };
        let expected = Self::expected(alternatives, choices);
        let help = match &node.value {
            Value::Text(text)
                if alternatives.iter().any(|one| is_number(one)) && text.parse::<f64>().is_ok() =>
            {
                Some("write the number without quotes".to_owned())
            }
            Value::Text(text) if alternatives.iter().any(|one| allows(one, "boolean")) => {
                match text.to_lowercase().as_str() {
                    "yes" | "on" | "y" => Some("write `true`".to_owned()),
                    "no" | "off" | "n" => Some("write `false`".to_owned()),
                    _ => None,
                }
            }
            Value::Integer(_) | Value::Float(_) if alternatives.iter().any(|one| unit(one).is_some()) => {
                alternatives.iter().find_map(|one| unit(one)).map(str::to_owned)
            }
            Value::Integer(_) | Value::Float(_) | Value::Bool(_)
                if alternatives.iter().any(|one| allows(one, "string") && one.get("const").is_none()) =>
            {
                Some("quote it, if it is meant as text".to_owned())
            }
            _ => None,
        };
        self.add(node.at, path, format!("expected {expected}, found {}", node.describe()), help);
    }

    fn number(
        &mut self,
        node: &mut Node,
        value: f64,
        whole: bool,
        alternatives: &[&Schema],
        choices: &[(&str, &Schema)],
        path: &str,
    ) {
        let Some(schema) = alternatives.iter().find(|one| is_number(one)) else {
            return self.wrong_type(node, alternatives, choices, path);
        };
        if !value.is_finite() {
            let found = node.describe();
            return self.add(node.at, path, format!("expected a finite number, found {found}"), None);
        }
        // Beyond 128 bits, the library makes floats of whole numbers; beyond 2^53, all floats are whole.
        let whole = whole || 9_007_199_254_740_992.0 <= value.abs();
        if !allows(schema, "number") && !whole {
            let expected = Self::expected(alternatives, choices);
            let found = node.describe();
            return self.add(node.at, path, format!("expected {expected}, found {found}"), None);
        }
        if let Some(allowed) = schema.get("enum").and_then(Schema::as_array) {
            if !allowed.iter().any(|one| one.as_f64() == Some(value)) {
                let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
                let found = node.describe();
                let message = format!("expected one of {}, found {found}", list(&allowed));
                self.add(node.at, path, message, None);
            }
            return;
        }
        let limit = |name: &str| schema.get(name).and_then(Schema::as_f64);
        // What the type holds, where the schema says no bound of its own.
        let (lowest, highest) = match (whole && !allows(schema, "number"), text_of(schema, "format")) {
            (true, Some("uint8")) => (0.0, 255.0),
            (true, Some("uint32")) => (0.0, f64::from(u32::MAX)),
            (true, _) => (i64::MIN as f64, u64::MAX as f64),
            (false, Some("float")) => (f64::from(f32::MIN), f64::from(f32::MAX)),
            (false, _) => (f64::MIN, f64::MAX),
        };
        let exact = match node.value {
            // 2^64 rounds to the same f64 as the largest u64.
            Value::Integer(value) => i128::from(i64::MIN) <= value && value <= i128::from(u64::MAX),
            _ => allows(schema, "number") || value < u64::MAX as f64,
        };
        let fits = exact
            && lowest <= value
            && value <= highest
            && limit("minimum").is_none_or(|least| least <= value)
            && limit("maximum").is_none_or(|most| value <= most)
            && limit("exclusiveMinimum").is_none_or(|bound| bound < value)
            && limit("exclusiveMaximum").is_none_or(|bound| value < bound);
        if !fits {
            let range = match range(schema) {
                Some(range) if exact || value < 0.0 => range,
                Some(_) | None if whole && !allows(schema, "number") => {
                    format!("at most {}", u64::MAX)
                }
                range => range.unwrap_or_else(|| format!("at most {highest}")),
            };
            self.add(node.at, path, format!("must be {range}, found {}", node.describe()), None);
        }
    }

    fn text(
        &mut self,
        node: &mut Node,
        word: &str,
        alternatives: &[&Schema],
        choices: &[(&str, &Schema)],
        path: &str,
    ) {
        let words = words(alternatives);
        if words.iter().any(|one| one == word) && !choices.iter().any(|(name, _)| *name == word) {
            return;
        }
        if let Some((_, body)) = choices.iter().find(|(name, _)| *name == word) {
            let body = follow(body, self.definitions);
            let missing = required(body);
            if missing.is_empty() && allows(body, "object") {
                let key = Key { name: word.to_owned(), at: node.at };
                node.value = Value::Map(vec![(key, Node { value: Value::Map(Vec::new()), at: node.at })]);
                return;
            }
            let inside = if allows(body, "object") {
                let settings: Vec<String> = missing.iter().map(|name| format!("{name}: ...")).collect();
                format!("{{ {} }}", settings.join(", "))
            } else {
                "...".to_owned()
            };
            let help = format!("write `{{ {word}: {inside} }}`");
            return self.add(node.at, path, format!("`{word}` needs its settings"), Some(help));
        }
        let free = alternatives
            .iter()
            .find(|one| allows(one, "string") && one.get("const").is_none() && one.get("enum").is_none());
        if let Some(schema) = free {
            if let Err((message, help)) = check_text(word, schema) {
                self.add(node.at, path, message, help);
            }
            return;
        }
        let mut names = words;
        for (name, _) in choices {
            if !names.iter().any(|other| other == name) {
                names.push((*name).to_owned());
            }
        }
        let other = alternatives.iter().any(|one| is_number(one) || allows(one, "boolean"));
        if names.is_empty() || other && suggest::word(word, &names).is_none() {
            return self.wrong_type(node, alternatives, choices, path);
        }
        let help = suggest::word(word, &names);
        let expected = Self::expected(alternatives, choices);
        let found = Node::describe(node);
        self.add(node.at, path, format!("expected {expected}, found {found}"), help);
    }

    /// Checks a mapping in which one key names the choice.
    fn choice(&mut self, entries: &mut [(Key, Node)], choices: &[(&str, &Schema)], path: &str, at: At) {
        let names: Vec<String> = choices.iter().map(|(name, _)| (*name).to_owned()).collect();
        self.duplicates(entries, path);
        let mut given: Vec<String> = Vec::new();
        let mut named_by_type = false;
        for (key, node) in entries.iter_mut() {
            let below = join(path, &key.name);
            let found = choices.iter().find(|(name, _)| *name == key.name);
            let Some((name, body)) = found else {
                given.push(key.name.clone());
                match &node.value {
                    Value::Text(word) if ["type", "kind", "name"].contains(&key.name.as_str()) => {
                        let word = names.iter().find(|name| *name == word).unwrap_or(&names[0]);
                        let help = format!("one key names the choice: write `{{ {word}: {{ ... }} }}`");
                        self.add(key.at, &below, format!("unknown key `{}`", key.name), Some(help));
                        named_by_type = true;
                    }
                    _ if named_by_type => {}
                    _ => self.unknown(key, &below, &names),
                }
                continue;
            };
            if !given.is_empty() && !given.iter().any(|other| other == name) {
                let message = format!("only one of these can be given, and there is `{}`", given[0]);
                self.add(key.at, &below, message, Some(format!("leave out `{}` or `{name}`", given[0])));
            }
            given.push(key.name.clone());
            if matches!(node.value, Value::Null) {
                let body = follow(body, self.definitions);
                if required(body).is_empty() && allows(body, "object") {
                    node.value = Value::Map(Vec::new());
                }
            }
            self.node(node, body, &below, key.at);
        }
        if given.is_empty() {
            self.add(at, path, format!("expected one of {}, found none of them", list(&names)), None);
        }
    }

    fn duplicates(&mut self, entries: &[(Key, Node)], path: &str) {
        let mut first: BTreeMap<&str, At> = BTreeMap::new();
        for (key, _) in entries {
            if let Some(first) = first.get(key.name.as_str()) {
                let message =
                    format!("`{}` is given twice, first in line {}", shorten(&key.name), first.line);
                let help = "keep one of them".to_owned();
                self.add(key.at, &join(path, &key.name), message, Some(help));
            } else {
                first.insert(&key.name, key.at);
            }
        }
    }

    fn object(&mut self, entries: &mut [(Key, Node)], schema: &Schema, path: &str, at: At, named: At) {
        self.duplicates(entries, path);
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Schema::as_object).unwrap_or(&empty);
        let numbered = schema.get("patternProperties").and_then(Schema::as_object);
        let free = schema.get("additionalProperties").filter(|rest| rest.is_object());
        let names: Vec<String> = properties.keys().cloned().collect();
        for (key, node) in entries.iter_mut() {
            let below = join(path, &key.name);
            if let Some(schema) = properties.get(&key.name) {
                self.node(node, schema, &below, key.at);
            } else if let Some(schema) = numbered.and_then(|all| all.values().next()).or(free) {
                if key.name.parse::<u32>().is_err() {
                    let message = format!("expected the number of a class as key, found `{}`", key.name);
                    self.add(key.at, &below, message, None);
                }
                self.node(node, schema, &below, key.at);
            } else {
                self.unknown(key, &below, &names);
            }
        }
        let is_given = |name: &str| entries.iter().any(|(key, node)| key.name == name && !is_null(node));
        for name in required(schema) {
            // A key that is a slip of this one has been reported already.
            let slip = |key: &str| !names.iter().any(|other| other == key) && is_slip(key, name);
            if !entries.iter().any(|(key, _)| key.name == name || slip(&key.name)) {
                let message = format!("the key `{name}` is missing");
                let help = properties.get(name).and_then(|schema| describe(schema, self.definitions));
                let help = help.map(|help| format!("`{name}`: {help}"));
                self.add(if path.is_empty() { at } else { named }, path, message, help);
            }
        }
        // `oneOf` of `required` says that just one of several keys is given.
        let exclusive: Vec<&str> = schema
            .get("oneOf")
            .and_then(Schema::as_array)
            .map(|all| all.iter().flat_map(|one| required(one)).collect())
            .unwrap_or_default();
        if !exclusive.is_empty() {
            let given: Vec<&str> = exclusive.iter().copied().filter(|name| is_given(name)).collect();
            let all: Vec<String> = exclusive.iter().map(|name| (*name).to_owned()).collect();
            match given.as_slice() {
                [_] => {}
                [] => {
                    let message = format!("one of {} is missing", list(&all));
                    self.add(if path.is_empty() { at } else { named }, path, message, None);
                }
                [first, rest @ ..] => {
                    for name in rest {
                        let at =
                            entries.iter().find(|(key, _)| key.name == *name).map_or(at, |(key, _)| key.at);
                        let message =
                            format!("only one of {} can be given, and there is `{first}`", list(&all));
                        let help = format!("leave out `{first}` or `{name}`");
                        self.add(at, &join(path, name), message, Some(help));
                    }
                }
            }
        }
    }

    /// Says what a schema wants.
    fn expected(alternatives: &[&Schema], choices: &[(&str, &Schema)]) -> String {
        let mut wanted: Vec<String> = Vec::new();
        let mut names = words(alternatives);
        for (name, _) in choices {
            if !names.iter().any(|other| other == name) {
                names.push((*name).to_owned());
            }
        }
        for one in alternatives {
            let range = range(one).map(|range| format!(", {range}")).unwrap_or_default();
            if allows(one, "boolean") {
                wanted.push("`true` or `false`".to_owned());
            } else if allows(one, "number") {
                wanted.push(format!("a number{range}"));
            } else if allows(one, "integer") {
                wanted.push(format!("a whole number{range}"));
            } else if allows(one, "array") {
                let (least, most) = (count(one, "minItems"), count(one, "maxItems"));
                wanted.push(match (least, most) {
                    (Some(least), Some(most)) if least == most => format!("a list of {most}"),
                    _ => "a list".to_owned(),
                });
            } else if allows(one, "string") && one.get("const").is_none() && one.get("enum").is_none() {
                wanted.push(
                    match text_of(one, "format") {
                        Some("byte-size") => "a size such as `512 MiB`",
                        Some("time-span") => "a time such as `60 s`",
                        _ => "a text",
                    }
                    .to_owned(),
                );
            } else if allows(one, "object") && choice(one).is_none_or(|_| choices.is_empty()) {
                wanted.push("a mapping".to_owned());
            }
        }
        wanted.dedup();
        match names.as_slice() {
            [] => {}
            [one] => wanted.push(format!("`{one}`")),
            _ => wanted.push(format!("one of {}", list(&names))),
        }
        if wanted.is_empty() { "something else".to_owned() } else { wanted.join(" or ") }
    }
}

fn check_text(text: &str, schema: &Schema) -> Result<(), (String, Option<String>)> {
    match text_of(schema, "format") {
        Some("byte-size") => text.parse::<ByteSize>().map(drop).map_err(|error| (error.to_string(), None)),
        Some("time-span") => text.parse::<TimeSpan>().map(drop).map_err(|error| (error.to_string(), None)),
        Some("run-name") => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if text.len() <= 100
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(fits)
            {
                return Ok(());
            }
            let expected =
                "expected letters, digits, `.`, `_` and `-` (100 at most, a letter or digit first)";
            Err((format!("{expected}, found `{}`", shorten(text)), Some("it names a folder".to_owned())))
        }
        Some("device") => {
            let number = text.strip_prefix("cuda:").is_some_and(|rest| rest.parse::<u8>().is_ok());
            if number || ["auto", "cpu", "cuda"].contains(&text) {
                return Ok(());
            }
            let words = ["auto", "cpu", "cuda"].map(str::to_owned);
            let message = format!("expected `auto`, `cpu`, `cuda` or `cuda:N`, found `{}`", shorten(text));
            Err((message, suggest::word(text, &words)))
        }
        _ if text.is_empty() => Err(("expected a text, found an empty one".to_owned(), None)),
        _ if text.contains('\0') => Err(("a zero byte cannot stand in a text".to_owned(), None)),
        _ => Ok(()),
    }
}

fn words(alternatives: &[&Schema]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for one in alternatives {
        let listed = one.get("enum").and_then(Schema::as_array).into_iter().flatten();
        for word in listed.chain(one.get("const")).filter_map(Schema::as_str) {
            if !words.iter().any(|other| other == word) {
                words.push(word.to_owned());
            }
        }
    }
    words
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn is_number(schema: &Schema) -> bool {
    allows(schema, "integer") || allows(schema, "number")
}

fn is_null(node: &Node) -> bool {
    matches!(node.value, Value::Null)
}

fn text_of<'a>(schema: &'a Schema, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Schema::as_str)
}

/// Returns whether `key` seems to be meant as `name`.
fn is_slip(key: &str, name: &str) -> bool {
    suggest::word(key, &[name.to_owned()]).is_some()
}

fn count(schema: &Schema, name: &str) -> Option<usize> {
    schema.get(name).and_then(Schema::as_u64).map(|n| n as usize)
}

/// Says which numbers a schema allows.
pub(crate) fn range(schema: &Schema) -> Option<String> {
    let limit = |name: &str| schema.get(name).filter(|value| value.is_number()).map(plain);
    let low = limit("minimum")
        .map(|least| format!("at least {least}"))
        .or_else(|| limit("exclusiveMinimum").map(|bound| format!("greater than {bound}")));
    let high = limit("maximum")
        .map(|most| format!("at most {most}"))
        .or_else(|| limit("exclusiveMaximum").map(|bound| format!("less than {bound}")));
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("{low} and {high}")),
        (low, high) => low.or(high),
    }
}

fn plain(number: &Schema) -> String {
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        _ => number.to_string(),
    }
}

/// Returns the first sentence of what a key is.
fn describe(schema: &Schema, definitions: &Schema) -> Option<String> {
    let text =
        text_of(schema, "description").or_else(|| text_of(follow(schema, definitions), "description"))?;
    let line = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    Some(line)
}

/// Cuts a text from the file to what a message can hold.
pub(crate) fn shorten(text: &str) -> String {
    let text = text.escape_debug().to_string();
    if text.chars().count() <= 60 {
        text
    } else {
        format!("{}...", text.chars().take(57).collect::<String>())
    }
}

/// Joins a path and a key.
pub(crate) fn join(path: &str, name: &str) -> String {
    let name = &shorten(name);
    if path.is_empty() { name.clone() } else { format!("{path}.{name}") }
}
