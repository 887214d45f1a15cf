//! A run that is killed at any moment and resumed ends as one that was not.

use std::time::{Duration, Instant};

use crate::common::{DONE, Place, Running, TINY};

/// Knuth's numbers for a linear congruential generator of 64 bits; the high bits are used.
struct Moments(u64);

impl Moments {
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1 << 24) as f64
    }
}

/// `BATCHWRIGHT_KILLS` says how many kills; runs are started until there were as many.
#[test]
fn a_run_that_is_killed_at_random_moments_ends_as_one_that_was_not() {
    let kills: usize = std::env::var("BATCHWRIGHT_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let place = Place::new(TINY);
    let start = Instant::now();
    let mut whole = place.start(&["--set", "name=whole"]);
    whole.until(|| !place.checkpoints("whole").is_empty());
    let first_checkpoint = start.elapsed();
    whole.wait().expect(DONE);
    let rest = start.elapsed().saturating_sub(first_checkpoint);
    let expected = place.remains("whole");

    let mut moments = Moments(42);
    let (mut killed, mut early, mut late, mut run) = (0, 0, 0, 0);
    // The machine may be less or more busy now than when the whole run was timed.
    let mut pace = 1.0;
    while killed < kills {
        run += 1;
        let name = format!("killed-{run}");
        let named = format!("name={name}");
        let mut part = 0;
        loop {
            let workers = format!("loader.workers={}", [2, 0, 5, 1, 8][part % 5]);
            let mut arguments = vec!["--set", &named, "--set", &workers];
            // A kill may come before there is a folder.
            if place.path("runs").join(&name).exists() {
                arguments.push("--resume");
            }
            part += 1;
            let mut running = place.start(&arguments);
            // Mostly within the training; now and then while it starts.
            let moment = if killed % 5 == 4 {
                first_checkpoint.mul_f64(moments.fraction())
            } else {
                first_checkpoint.mul_f64(0.9) + rest.mul_f64(0.5 * moments.fraction())
            };
            let is_over = killed < kills && is_over_after(&mut running, moment.mul_f64(pace));
            if killed == kills || is_over {
                pace *= 0.8;
                running.wait().expect(DONE);
                break;
            }
            running.kill();
            let ended = running.wait();
            if ended.code.is_some() {
                // It came to its end between the last look and the kill.
                ended.expect(DONE);
                break;
            }
            assert_eq!(ended.signal, Some(libc::SIGKILL));
            killed += 1;
            if place.checkpoints(&name).is_empty() {
                early += 1;
                pace *= 1.2;
            } else {
                late += 1;
            }
        }
        place.remains(&name).assert_equal(&expected, &format!("{name}, in {part} parts"));
    }
    println!("{killed} kills in {run} runs: {early} before the first checkpoint, {late} after it");
    assert!(0 < late, "no kill hit a run that could be resumed");
}

fn is_over_after(running: &mut Running, moment: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < moment {
        if !running.is_running() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    !running.is_running()
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_starts_from_the_beginning() {
    let place = Place::new(TINY);
    place.train(&["--set", "name=whole"]).expect(DONE);
    for (name, left) in [("empty", None), ("locked", Some("lock"))] {
        let folder = place.path("runs").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(left) = left {
            std::fs::write(folder.join(left), "").unwrap();
        }
        place.train(&["--set", &format!("name={name}"), "--resume"]).expect(DONE);
        place.remains(name).assert_equal(&place.remains("whole"), name);
    }
    let folder = place.path("runs/unwritten/checkpoints");
    std::fs::create_dir_all(folder).unwrap();
    place.train(&["--set", "name=unwritten", "--resume"]).expect(DONE);
    place.remains("unwritten").assert_equal(&place.remains("whole"), "unwritten");
}
