//! Runs that go on: longer, under other settings that change nothing, from another folder.

use std::fs;

use crate::common::{DONE, Place, TINY};

#[test]
fn a_finished_run_goes_on_for_more_epochs_and_ends_as_the_longer_one() {
    // Without a schedule that looks at the end of the run.
    let place = Place::new(&TINY.replace("schedule: { cosine: { end: 0.1 } }", ""));
    place.train(&["--set", "name=whole"]).expect(DONE);
    place.train(&["--set", "training.epochs=1"]).expect(DONE);
    place.train(&["--resume", "--set", "training.epochs=3", "--set", "loader.max_queue_size=1"]).expect(DONE);
    place.train(&["--resume", "--set", "training.epochs=4", "--set", "loader.workers=4"]).expect(DONE);
    place.remains("tiny").assert_equal(&place.remains("whole"), "in three parts");
    // Nothing is left to do, and nothing is lost by trying.
    place.train(&["--resume"]).expect(DONE);
    place.remains("tiny").assert_equal(&place.remains("whole"), "resumed at the end");
}

#[test]
fn a_run_in_another_folder_is_resumed_by_its_path() {
    let place = Place::new(TINY);
    place.train(&["--set", "name=whole"]).expect(DONE);
    place
        .train(&[
            "--set",
            "logging.dir=kept",
            "--set",
            "training.epochs=1",
            "--set",
            "training.schedule={ cosine: { end: 0.1 } }",
        ])
        .expect(DONE);
    fs::create_dir_all(place.path("runs")).unwrap();
    fs::rename(place.path("kept/tiny"), place.path("runs/moved")).unwrap();
    place.train(&["--resume=runs/moved"]).expect(DONE);
    assert_eq!(place.summary("moved")["outcome"], "finished");
    assert_eq!(place.summary("moved")["steps"], place.summary("whole")["steps"]);
    assert!(!place.path("runs/tiny").exists(), "it was resumed elsewhere");
}

#[test]
fn the_configuration_kept_with_a_run_trains_the_same_again() {
    let place = Place::new(TINY);
    place.train(&["--set", "model.vae.latent=2", "--set", "loader.batch_size=10"]).expect(DONE);
    fs::copy(place.path("runs/tiny/config.yaml"), place.path("run.yaml")).unwrap();
    place.train(&["--set", "name=again"]).expect(DONE);
    place.remains("again").assert_equal(&place.remains("tiny"), "from the configuration of the run");
}
