//! Uses batchwright-config as somebody would who takes this crate alone: types and checks, no images.

use batchwright_config::{Config, ConfigError};

/// Reads a configuration and returns the samples of a batch.
pub fn batch_size(yaml: &str) -> Result<usize, ConfigError> {
    let none: [&str; 0] = [];
    Ok(Config::from_str(yaml, "run.yaml", &none)?.loader.batch_size.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_and_a_misspelt_key_is_found() {
        let yaml = "seed: 1\ndata: { glyphs: { classes: 5 } }\nloader: { batch_size: 32 }\n";
        assert_eq!(batch_size(yaml).unwrap(), 32);
        let message = batch_size(&yaml.replace("classes", "clases")).unwrap_err().to_string();
        assert!(message.contains("did you mean `classes`?"), "{message}");
    }
}
