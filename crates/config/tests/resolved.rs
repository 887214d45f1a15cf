//! What a configuration is once it has been read.

use batchwright_config::{Beta, BetaSchedule, Config, Likelihood, Model, Schedule, Sigma};

const NONE: &[&str] = &[];
const YAML: &str = "
seed: 1
data: { root: ../data, glyphs: { classes: 3 }, normalize: mean_std, augment: { flip: { x: 0.5 } } }
loader: { batch_size: 8, queue_budget: 512 MiB, timeout: 90 s, on_error: { skip: { budget: 3 } } }
model: { vae: { hidden: [400], latent: 20, likelihood: gaussian, beta: { cyclical: { to: 1, period: 100 } } } }
training: { epochs: 3, schedule: cosine }
";

fn read(yaml: &str) -> Config {
    Config::from_str(yaml, "some/where/my run.yaml", NONE).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn bare_words_stand_for_choices_with_their_defaults() {
    let config = read(YAML);
    let Some(Model::Vae(vae)) = &config.model else { panic!() };
    assert_eq!(vae.likelihood, Likelihood::Gaussian { sigma: Sigma::Fixed(1.0) });
    assert_eq!(vae.beta, Beta::Schedule(BetaSchedule::Cyclical { to: 1.0, period: 100, ramp: 0.5 }));
    assert_eq!(config.training.unwrap().schedule, Schedule::Cosine { end: 0.0 });
}

#[test]
fn a_run_without_a_name_is_named_after_its_file() {
    assert_eq!(read(YAML).name, "my-run");
}

#[test]
fn what_is_written_has_every_default_and_reads_as_the_same() {
    let config = read(YAML);
    let text = config.to_yaml().unwrap();
    for default in
        ["workers: 2", "max_queue_size: 10", "log_every: 50", "keep: 2", "ramp: 0.5", "one_hot: false"]
    {
        assert!(text.contains(default), "{default} in\n{text}");
    }
    assert!(text.contains("root: ../data") && !text.contains("/work"), "{text}");
    assert_eq!(read(&text), config);
}

#[test]
fn the_hash_changes_with_what_decides_batches_and_losses_alone() {
    let hash = |settings: &[&str]| Config::from_str(YAML, "x.yaml", settings).unwrap().hash();
    let first = hash(&[]);
    assert_eq!(first.len(), 64);
    for same in [
        "name=b",
        "loader.workers=1",
        "loader.max_queue_size=3",
        "loader.timeout=1 h",
        "loader.queue_budget=1 GiB",
        "logging.dir=b",
        "data.root=b",
        "data.origin=b",
        "training.checkpoint.keep=5",
        "training.validate_every=2",
        "training.epochs=4",
        "training.threads=2",
        "training.device=cpu",
        "loader.on_error.skip.budget=4",
        "data.glyphs.test_drawings=7",
        "training.schedule={ cosine: { end: 0 } }",
    ] {
        assert_eq!(hash(&[same]), first, "{same}");
    }
    for other in [
        "seed=2",
        "loader.batch_size=4",
        "loader.shuffle=false",
        "loader.drop_last=true",
        "loader.on_error=fail",
        "data.glyphs.classes=4",
        "data.augment.flip.x=0",
        "model.vae.latent=3",
        "training.warmup_steps=4",
    ] {
        assert_ne!(hash(&[other]), first, "{other}");
    }
}

#[test]
fn test_data_are_no_part_of_a_runs_identity() {
    let yaml = "
seed: 1
data: { idx: { train: { images: a, labels: b }, test: { images: c, labels: d } } }
loader: { batch_size: 8 }
";
    let other = yaml.replace("images: c", "images: e");
    assert_eq!(read(yaml).hash(), read(&other).hash());
    assert_ne!(read(yaml).hash(), read(&yaml.replace("images: a", "images: e")).hash());
}

#[test]
fn a_byte_order_mark_and_a_document_mark_are_no_content() {
    assert_eq!(read(&format!("\u{feff}---{YAML}")), read(YAML));
}

#[test]
fn anchors_and_merge_keys_may_be_used() {
    let yaml = YAML.replace("{ batch_size: 8,", "&l { batch_size: 8,");
    assert_eq!(read(&yaml), read(YAML));
}
