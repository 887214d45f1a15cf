//! Ctrl-C and its like: the step is finished and saved, and the run goes on later as if nothing had been.

use std::time::{Duration, Instant};

use crate::common::{DONE, Place, STOPPED, TINY};

#[test]
fn a_run_that_is_asked_to_stop_saves_and_goes_on_to_the_same_end() {
    let place = Place::new(TINY);
    let longer = ["--set", "training.epochs=12", "--set", "training.checkpoint.every_steps=4"];
    place.train(&[&longer[..], &["--set", "name=whole"]].concat()).expect(DONE);
    let expected = place.remains("whole");
    for (signal, name) in [(libc::SIGINT, "int"), (libc::SIGTERM, "term"), (libc::SIGUSR1, "usr1")] {
        let named = format!("name={name}");
        let arguments = [&longer[..], &["--set", &named]].concat();
        let mut running = place.start(&arguments);
        assert!(running.until(|| !place.checkpoints(name).is_empty()));
        running.signal(signal);
        let ended = running.wait().expect(STOPPED).says(&["finished and saved"]);
        assert!(
            ended.stdout.contains(&format!("stopped by signal {signal} after step ")),
            "{}",
            ended.stdout
        );
        assert!(ended.stdout.contains("--resume"), "{}", ended.stdout);
        let summary = place.summary(name);
        assert_eq!(summary["outcome"]["stopped"]["reason"], signal);
        let saved = place.checkpoints(name).pop().unwrap();
        assert!(saved.ends_with(format!("step-{:010}", summary["steps"].as_u64().unwrap())), "{saved:?}");

        let ended =
            place.train(&[&arguments[..], &["--resume", "--set", "loader.workers=0"]].concat()).expect(DONE);
        assert!(
            ended.stdout.contains(&format!("resumed from step {}", summary["steps"])),
            "{}",
            ended.stdout
        );
        place.remains(name).assert_equal(&expected, name);
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    // One step of this takes many seconds.
    let place = Place::new(
        "
name: slow
seed: 1
data: { glyphs: { classes: 4, drawings: 1000, test_drawings: 0, size: 28 } }
loader: { batch_size: 4000, workers: 1 }
model: { vae: { channels: [128, 256], latent: 8 } }
training: { epochs: 3, threads: 1 }
",
    );
    let mut running = place.start(&[]);
    assert!(running.until(|| place.path("runs/slow/configuration.json").exists()));
    running.signal(libc::SIGTERM);
    // It says that it stops after the step, and goes on with it.
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.is_running(), "a step was over too soon for this test");
    let second = Instant::now();
    running.signal(libc::SIGINT);
    running.wait().expect(128 + libc::SIGINT).says(&["once more stops at once", "stopped at once"]);
    assert!(second.elapsed() < Duration::from_secs(2), "at once took {:?}", second.elapsed());
    assert!(place.checkpoints("slow").is_empty(), "the step was finished");
}
