//! `--set KEY=VALUE`.

use batchwright_config::{Adam, Config, ConfigError, Model, Optimizer, Source};

const YAML: &str = "
seed: 1
data:
  root: ../data
  idx: { train: { images: a, labels: b } }
loader: { batch_size: 8 }
model: { vae: { hidden: [400, 200], latent: 20 } }
training: { epochs: 3, optimizer: { adam: { lr: 1e-4 } } }
";

fn with(settings: &[&str]) -> Result<Config, ConfigError> {
    Config::from_str(YAML, "x.yaml", settings)
}

#[test]
fn a_setting_replaces_what_the_file_says() {
    let config = with(&["loader.batch_size=16", "seed=7", "name=other"]).unwrap();
    assert_eq!((config.loader.batch_size.get(), config.seed, config.name.as_str()), (16, 7, "other"));
}

#[test]
fn the_last_of_two_settings_holds() {
    assert_eq!(with(&["seed=7", "seed=8"]).unwrap().seed, 8);
}

#[test]
fn a_setting_of_another_choice_replaces_the_one_that_is_there() {
    let config = with(&["training.optimizer.sgd.momentum=0.9"]).unwrap();
    assert!(
        matches!(config.training.unwrap().optimizer, Optimizer::Sgd(sgd) if sgd.momentum == 0.9 && sgd.lr == 1e-2)
    );
    let config = with(&["data.glyphs.classes=3"]).unwrap();
    assert!(matches!(config.data.source, Source::Glyphs(glyphs) if glyphs.classes == 3));
}

#[test]
fn a_setting_of_a_choice_by_its_word_takes_its_defaults() {
    let config = with(&["training.optimizer=adam"]).unwrap();
    assert_eq!(config.training.unwrap().optimizer, Optimizer::Adam(Adam::default()));
}

#[test]
fn null_takes_a_key_out() {
    let config = with(&["training.optimizer=null"]).unwrap();
    assert_eq!(config.training.unwrap().optimizer, Optimizer::default());
    let config = with(&["training=null", "model=null"]).unwrap();
    assert!(config.training.is_none() && config.model.is_none());
    assert!(with(&["seed=null"]).unwrap_err().to_string().contains("the key `seed` is missing"));
}

#[test]
fn an_element_of_a_list_is_addressed_by_its_number() {
    let Some(Model::Vae(vae)) = with(&["model.vae.hidden.1=100"]).unwrap().model else { panic!() };
    assert_eq!(vae.hidden.unwrap(), [400, 100]);
    let error = with(&["model.vae.hidden.2=100"]).unwrap_err().to_string();
    assert!(error.contains("no element of this list of 2"), "{error}");
}

#[test]
fn a_list_and_a_mapping_are_yaml() {
    let config = with(&["model.vae={ channels: [4, 8], latent: 2 }"]).unwrap();
    let Some(Model::Vae(vae)) = config.model else { panic!() };
    assert_eq!((vae.channels, vae.hidden), (Some(vec![4, 8]), None));
}

#[test]
fn one_exclusive_key_replaces_the_other() {
    let Some(Model::Vae(vae)) = with(&["model.vae.channels=[4, 8]"]).unwrap().model else { panic!() };
    assert_eq!((vae.channels, vae.hidden), (Some(vec![4, 8]), None));
}

#[test]
fn mistakes_of_file_and_settings_are_told_together() {
    let yaml = YAML.replace("epochs: 3", "epochs: 0");
    let error = Config::from_str(&yaml, "x.yaml", &["loader.batch_size=-1", "nonsense"]).unwrap_err();
    let places: Vec<String> = error.mistakes().iter().map(|mistake| mistake.place.to_string()).collect();
    assert_eq!(places, ["x.yaml:8:21", "--set loader.batch_size=-1", "--set nonsense"]);
}
