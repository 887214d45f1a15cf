//! Pictures that cannot be decoded: an error, or left out within a budget and reported.

use std::fs;

use crate::common::{DATA, DONE, Place};

const FOLDER: &str = "
name: pictures
seed: 5
data:
  folder: { train: pictures }
loader: { batch_size: 8, workers: 2 }
model: { vae: { hidden: [8], latent: 2 } }
training: { epochs: 2, threads: 1 }
logging: { dir: runs, pictures_every: 0 }
";

/// Two classes of 20 pictures, of which these are cut in the middle of a file.
fn place(broken: &[&str]) -> Place {
    let place = Place::new(FOLDER);
    for (class, brightness) in [("dark", 40), ("light", 200)] {
        let folder = place.path("pictures").join(class);
        fs::create_dir_all(&folder).unwrap();
        for i in 0..20 {
            let pixel = |x: u32, y: u32| image::Luma([(brightness + (x * y + i) % 50) as u8]);
            image::GrayImage::from_fn(10, 8, pixel).save(folder.join(format!("{i:02}.png"))).unwrap();
        }
    }
    for name in broken {
        let path = place.path("pictures").join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    place
}

#[test]
fn by_default_a_broken_picture_stops_the_run_and_is_named() {
    let place = place(&["light/07.png"]);
    place.train(&[]).expect(DATA).says(&["light/07.png", "sample 27"]);
    place.run(&["bench", "run.yaml", "--seconds", "0.2", "--warm", "0"]).expect(DATA).says(&["light/07.png"]);
}

#[test]
fn broken_pictures_are_left_out_within_the_budget_and_listed_at_the_end() {
    let place = place(&["dark/03.png", "light/07.png"]);
    for policy in ["skip", "substitute"] {
        let on_error = format!("loader.on_error={{ {policy}: {{ budget: 2 }} }}");
        let settings = |name: &str, workers: usize| {
            [format!("name={policy}-{name}"), format!("loader.workers={workers}"), on_error.clone()]
        };
        let train = |name: &str, workers: usize, more: &[&str]| {
            let settings = settings(name, workers);
            let mut arguments: Vec<&str> = Vec::new();
            for setting in &settings {
                arguments.extend(["--set", setting]);
            }
            arguments.extend(more);
            place.train(&arguments).expect(DONE)
        };
        let ended = train("a", 0, &[]);
        for name in ["dark/03.png", "light/07.png"] {
            let line = ended.stdout.lines().find(|line| line.starts_with("left out") && line.contains(name));
            assert!(line.is_some_and(|line| line.contains("2 times")), "{name}: {}", ended.stdout);
        }
        let run = format!("{policy}-a");
        let left_out = place.summary(&run)["left_out"].clone();
        let indices: Vec<&serde_json::Value> =
            left_out.as_array().unwrap().iter().map(|sample| &sample["index"]).collect();
        assert_eq!(indices, [3, 27], "{left_out}");
        train("b", 5, &[]);
        place.remains(&format!("{policy}-b")).assert_equal(&place.remains(&run), "5 workers instead of none");
        // What was left out before a run was resumed is still counted after it.
        train("c", 2, &["--set", "training.epochs=1"]);
        train("c", 2, &["--resume"]);
        let resumed = format!("{policy}-c");
        place.remains(&resumed).assert_equal(&place.remains(&run), "in two parts");
        assert_eq!(place.summary(&resumed)["left_out"], left_out);
    }
}

#[test]
fn more_broken_pictures_than_the_budget_stop_the_run() {
    let place = place(&["dark/03.png", "light/07.png", "light/11.png"]);
    for policy in ["skip", "substitute"] {
        let on_error = format!("loader.on_error={{ {policy}: {{ budget: 2 }} }}");
        let name = format!("name={policy}");
        place.train(&["--set", &on_error, "--set", &name]).expect(DATA).says(&["budget", "2", ".png"]);
    }
}

#[test]
fn a_picture_that_vanished_is_named_and_a_folder_without_pictures_says_so() {
    let place = place(&[]);
    fs::write(place.path("pictures/dark/03.png"), "").unwrap();
    place.train(&[]).expect(DATA).says(&["dark/03.png"]);
    fs::create_dir(place.path("nothing")).unwrap();
    place
        .train(&["--set", "name=nothing", "--set", "data.folder.train=nothing"])
        .expect(DATA)
        .says(&["nothing"]);
}
