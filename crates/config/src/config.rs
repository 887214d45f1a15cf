//! A configuration that has been read, checked and completed.

use std::fmt::Write;
use std::fs::File as Disk;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::check::Check;
use crate::coherence;
use crate::data::Data;
use crate::error::ConfigError;
use crate::file::File;
use crate::loader::Loader;
use crate::model::Model;
use crate::node::{Node, Value};
use crate::place::{At, Texts};
use crate::schema::schema;
use crate::settings;
use crate::suggest::Known;
use crate::training::{Logging, Training};
use crate::yaml;

/// One run: what its file says, with every default filled in.
///
/// Two configurations are equal if they say the same, wherever their files lie.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the run, and of its folder.
    pub name: String,
    /// What every random draw is keyed by.
    pub seed: u64,
    /// Which samples there are.
    pub data: Data,
    /// How samples become batches.
    pub loader: Loader,
    /// Which network is trained, if any.
    pub model: Option<Model>,
    /// How it is trained, if it is.
    pub training: Option<Training>,
    /// What is written down, and where.
    pub logging: Logging,
    /// The folder of the file, which a relative `data.root` is relative to.
    folder: PathBuf,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.to_file() == other.to_file()
    }
}

impl Config {
    /// Reads a configuration file and the settings of a command line, each `KEY=VALUE`, as in `loader.workers=8`.
    ///
    /// The value of a setting is YAML. It replaces what the file says: a scalar, a whole list or mapping; an element
    /// of a list is addressed by its number, as in `model.vae.hidden.0=200`. Where one key names a choice, another
    /// name replaces it. `null` takes a key out, so that its default holds.
    ///
    /// # Errors
    /// Names all mistakes at once, each with its place.
    pub fn from_path(path: impl AsRef<Path>, settings: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = Disk::open(path).map_err(read)?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        file.take(yaml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(read)?;
        if yaml::MAX_BYTES < bytes.len() {
            let bytes = size.max(bytes.len() as u64);
            return Err(ConfigError::Large { path: path.to_owned(), bytes, most: yaml::MAX_BYTES });
        }
        let content = String::from_utf8(bytes).map_err(|error| ConfigError::Encoding {
            path: path.to_owned(),
            at: error.utf8_error().valid_up_to(),
        })?;
        let mut config = Self::from_str(&content, &path.display().to_string(), settings)?;
        config.folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        Ok(config)
    }

    /// Reads a configuration from text; `name` stands for it in errors, and names the run if nothing else does.
    ///
    /// # Errors
    /// Names all mistakes at once, each with its place.
    pub fn from_str(content: &str, name: &str, settings: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        let rules = rules();
        let mut texts = Texts::default();
        let text = texts.add_file(name, content);
        let settings: Vec<_> =
            settings.iter().map(|setting| settings::read(setting.as_ref(), &mut texts)).collect();
        let definitions = rules.schema.get("$defs").cloned().unwrap_or_default();
        let mut check = Check::new(&texts, &definitions, &rules.known);
        let start = At { text, line: 1, column: 1, length: 1 };
        let tree = match yaml::parse(content, text, 0) {
            Ok(Node { value: Value::Null, .. }) => Err((start, "the file is empty".to_owned())),
            Ok(node) if node.is_scalar() || matches!(node.value, Value::List(_)) => {
                Err((node.at, format!("expected `key: value` lines, found {}", node.describe())))
            }
            Ok(node) => Ok(node),
            Err(_) if is_blank(content) => Err((start, "the file is empty".to_owned())),
            Err(fault) => Err((fault.at, fault.message)),
        };
        let mut tree = match tree {
            Ok(tree) => Some(tree),
            Err((at, message)) => {
                check.add(at, "", message, None);
                None
            }
        };
        for setting in settings {
            match (setting, &mut tree) {
                (Ok(setting), Some(tree)) => settings::apply(tree, setting, &rules.schema, &mut check),
                (Err((at, message, help)), _) => check.add(at, "", message, help),
                (Ok(_), None) => {}
            }
        }
        let Some(mut tree) = tree else { return Err(ConfigError::Mistakes(check.mistakes)) };
        let at = tree.at;
        check.node(&mut tree, &rules.schema, "", at);
        let typed = coherence::Sections {
            data: section(&tree, "data", &mut check),
            loader: section(&tree, "loader", &mut check),
            model: section(&tree, "model", &mut check),
            training: section(&tree, "training", &mut check),
        };
        coherence::check(&typed, &tree, &mut check);
        let mut mistakes = check.mistakes;
        if !mistakes.is_empty() {
            // Those of the file in its order, then those of the settings.
            let key =
                |mistake: &crate::Mistake| (mistake.place.text, mistake.place.line, mistake.place.column);
            mistakes.sort_by_key(key);
            return Err(ConfigError::Mistakes(mistakes));
        }
        let mut check = Check::new(&texts, &definitions, &rules.known);
        match typed_at::<File>(&tree, &tree, &[], &mut check) {
            Some(file) => Ok(Self::resolve(file, name)),
            None => Err(ConfigError::Mistakes(check.mistakes)),
        }
    }

    fn resolve(file: File, source: &str) -> Self {
        let File { name, seed, data, loader, model, training, logging } = file;
        let name = name.unwrap_or_else(|| default_name(source));
        let data = Data::try_from(data).expect("the check allows one source alone");
        Self { name, seed, data, loader, model, training, logging, folder: PathBuf::new() }
    }

    fn to_file(&self) -> File {
        let Self { name, seed, data, loader, model, training, logging, folder: _ } = self.clone();
        File { name: Some(name), seed, data: data.into(), loader, model, training, logging }
    }

    /// Returns the folder that a relative `data.root` is relative to: that of the file.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sets the folder that a relative `data.root` is relative to: for a configuration that was saved elsewhere.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Writes the configuration with every default made explicit. Read again, it is equal. Paths stand as the user
    /// wrote them.
    ///
    /// # Errors
    /// Fails if a value has no place in YAML, which no configuration that was read has.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        yaml::write(&self.to_file()).map_err(ConfigError::Write)
    }

    /// Returns what decides batches and losses, as a SHA-256 in hexadecimal: two runs of the same hash on the same files
    /// train on the same batches, with the same losses up to what libtorch's threads and devices round.
    ///
    /// It is taken of [`identity`](Config::identity) as JSON without spaces, keys sorted, defaults explicit.
    pub fn hash(&self) -> String {
        let mut text = String::new();
        canonical(&self.identity(), &mut text);
        Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        })
    }

    /// Returns the configuration as JSON without what [`FREE`] lists: what decides batches and losses.
    pub fn identity(&self) -> Json {
        let mut json = serde_json::to_value(self.to_file()).unwrap_or_default();
        remove_free(&mut json);
        json
    }
}

/// The keys that may differ between the parts of one run: they decide neither which batches it is trained on nor what a step
/// computes. `*` stands for any key. (More or fewer epochs move the end that schedules lead to; threads and devices round
/// differently.)
pub const FREE: [&str; 20] = [
    "name",
    "logging",
    "data.root",
    "data.origin",
    "data.*.test",
    "data.glyphs.test_drawings",
    "data.nifti.cache",
    "data.nifti.read.io",
    "loader.workers",
    "loader.max_queue_size",
    "loader.queue_budget",
    "loader.timeout",
    "loader.on_error.*.budget",
    "loader.ranks.index",
    "training.checkpoint",
    "training.device",
    "training.early_stopping",
    "training.epochs",
    "training.threads",
    "training.validate_every",
];

/// Takes the keys of [`FREE`] out of a configuration.
pub fn remove_free(json: &mut Json) {
    for path in FREE {
        remove(json, path);
    }
}

/// The schema and its keys, made once.
struct Rules {
    schema: Json,
    known: Known,
}

fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let schema = schema();
        let known = Known::of(&schema);
        Rules { schema, known }
    })
}

fn is_blank(content: &str) -> bool {
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    content.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    })
}

/// Reads a section as its type, if the check found nothing wrong in it.
fn section<T: DeserializeOwned>(tree: &Node, name: &str, check: &mut Check<'_>) -> Option<T> {
    let inside = format!("{name}.");
    if check.mistakes.iter().any(|mistake| mistake.key == name || mistake.key.starts_with(&inside)) {
        return None;
    }
    let node = tree.get(name).filter(|node| !matches!(node.value, Value::Null))?;
    typed_at(tree, node, &[name], check)
}

/// Reads a node as its type. The schema says all that types say, so that a failure here is rare; it has its place too.
fn typed_at<T: DeserializeOwned>(
    tree: &Node,
    node: &Node,
    above: &[&str],
    check: &mut Check<'_>,
) -> Option<T> {
    match serde_path_to_error::deserialize::<_, T>(node.to_json()) {
        Ok(value) => Some(value),
        Err(error) => {
            let below = error.path().to_string();
            let below: Vec<&str> =
                below.split(['.', '[', ']']).filter(|step| !step.is_empty() && *step != "?").collect();
            let path: Vec<&str> = above.iter().copied().chain(below).collect();
            let message = error.into_inner().to_string();
            check.add(tree.place_of(&path), &path.join("."), message, None);
            None
        }
    }
}

/// Makes a name of the name of a file.
fn default_name(source: &str) -> String {
    let stem =
        Path::new(source).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(fit).take(100).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() { "run".to_owned() } else { name.to_owned() }
}

fn remove(json: &mut Json, path: &str) {
    match path.split_once('.') {
        None => {
            if let Some(object) = json.as_object_mut() {
                object.remove(path);
            }
        }
        Some(("*", rest)) => {
            for below in json.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
                remove(below, rest);
            }
        }
        Some((first, rest)) => {
            if let Some(below) = json.get_mut(first) {
                remove(below, rest);
            }
        }
    }
}

/// Writes JSON with sorted keys and without spaces, whatever the order it is kept in.
fn canonical(json: &Json, text: &mut String) {
    match json {
        Json::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort();
            text.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                text.push_str(if i == 0 { "" } else { "," });
                text.push_str(&Json::from(key.as_str()).to_string());
                text.push(':');
                canonical(&object[key], text);
            }
            text.push('}');
        }
        Json::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                text.push_str(if i == 0 { "" } else { "," });
                canonical(item, text);
            }
            text.push(']');
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => text.push_str(&json.to_string()),
    }
}
