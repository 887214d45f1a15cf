//! The work of the comparison with other libraries, one system a run: one line of JSON with its rate.
//!
//! `cargo run --release -p batchwright-pairs --example pairs_per_second -- SYSTEM [--classes 10] [--seconds 10] [--workers 2]`
//!
//! 60,000 images of 28x28 bytes with a random class each, in batches of 128. Systems: `pair-indices`, `triplet-indices`
//! (who stands with whom, one thread), `class-batches` (indices in batches of P x K: 8 x 16, from 64 classes on 64 x 2),
//! `pairs`, `triplets` (pixels as floats times 1/255, through the loader), `class-batches-loader` (images likewise).
//! `many-pairs`, `many-triplets` and `many-batches` set the samplers up for 10,000,000 samples; the line has the time and the
//! memory of that instead.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use batchwright_core::{
    BatchOptions, Batches, Context, Dataset, Field, LastBatch, Loader, LoaderOptions, Plan, Rank,
    SampleError, Sampler, Shuffled, Slot, Stream, Uneven,
};
use batchwright_pairs::{
    ClassBatchOptions, ClassBatches, Facts, PairDataset, PairOptions, PairSampler, PairSource, Parts,
    TripletDataset, TripletOptions, TripletSampler, TripletSource,
};

const SAMPLES: usize = 60_000;
const BATCH: usize = 128;
const PIXELS: usize = 28 * 28;

struct Images {
    pixels: Vec<u8>,
    classes: Vec<u32>,
    fields: Vec<Field>,
}

impl Dataset for Images {
    fn len(&self) -> usize {
        self.classes.len()
    }
    fn fields(&self) -> &[Field] {
        &self.fields
    }
    fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
        let from = &self.pixels[index * PIXELS..(index + 1) * PIXELS];
        for (to, &from) in slot.get::<f32>(0).iter_mut().zip(from) {
            *to = f32::from(from) * (1.0 / 255.0);
        }
        Ok(())
    }
    fn class(&self, index: usize) -> Option<u32> {
        Some(self.classes[index])
    }
}

fn classes(samples: usize, count: u32) -> Vec<u32> {
    let mut stream = Stream::new(0, 0, 0, "classes");
    (0..samples).map(|_| stream.below32(count)).collect()
}

fn images(count: u32) -> Images {
    let mut stream = Stream::new(0, 0, 0, "pixels");
    let mut pixels = Vec::with_capacity(SAMPLES * PIXELS);
    while pixels.len() < SAMPLES * PIXELS {
        pixels.extend(stream.bits64().to_le_bytes());
    }
    Images {
        pixels,
        classes: classes(SAMPLES, count),
        fields: vec![Field::new::<f32>("image", &[1, 28, 28])],
    }
}

/// Runs batch after batch: two seconds to warm up, then as long as asked. Returns items a second, and microseconds of
/// processors an item, which other programs of the machine disturb less.
fn rate(seconds: f64, mut batch: impl FnMut() -> usize) -> (f64, f64) {
    let run = |length: Duration, batch: &mut dyn FnMut() -> usize| {
        let (start, cpu, mut items) = (Instant::now(), cpu_seconds(), 0);
        while start.elapsed() < length {
            items += batch();
        }
        (items as f64 / start.elapsed().as_secs_f64(), (cpu_seconds() - cpu) / items as f64 * 1e6)
    };
    run(Duration::from_secs_f64(2.0_f64.min(seconds)), &mut batch);
    run(Duration::from_secs_f64(seconds), &mut batch)
}

/// Endless batches of a plan.
fn planned(sampler: impl Sampler + 'static, batch_size: usize) -> impl FnMut() -> (u64, Vec<(usize, u64)>) {
    let plan = Plan::new(sampler, 1, batch_size, LastBatch::Drop, Rank::default(), Uneven::Exact).unwrap();
    let (mut epoch, mut index) = (0, 0);
    move || {
        if index == plan.len() {
            (epoch, index) = (epoch + 1, 0);
        }
        let batch = plan.batch(epoch, index);
        index += 1;
        (epoch, batch.into_iter().map(|sample| (sample.index, sample.position)).collect())
    }
}

fn loaded(
    dataset: impl Dataset + 'static,
    sampler: impl Sampler + 'static,
    workers: usize,
    seconds: f64,
) -> (f64, f64) {
    let options =
        BatchOptions { seed: 1, batch_size: BATCH, last: LastBatch::Drop, ..BatchOptions::default() };
    let batches = Batches::new(dataset, sampler, options).unwrap();
    let mut loader = Loader::new(batches, LoaderOptions { workers, ..LoaderOptions::default() });
    rate(seconds, || black_box(loader.next_batch().unwrap().unwrap()).len())
}

/// The seconds that all threads of this process have run, in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// The most memory this process has had, in MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024 / 1_000_000
}

/// Sets up each sampler for ten million samples, and draws from it.
fn many(system: &str, count: u32) {
    let classes = classes(10_000_000, count);
    let before = peak();
    let start = Instant::now();
    let facts = Facts::new(&classes).unwrap();
    drop(classes);
    let sum = match system {
        "pairs" => {
            let pairs = PairSampler::new(&facts, &PairOptions::default()).unwrap();
            (0..1000)
                .map(|at| {
                    pairs.tuple(at * (PairSource::len(&pairs) / 1000), &Context::new(1, 0, at as u64)).b
                })
                .sum::<usize>()
        }
        "triplets" => {
            let triplets = TripletSampler::new(&facts, &TripletOptions::default()).unwrap();
            (0..1000)
                .map(|at| {
                    triplets
                        .tuple(at * (TripletSource::len(&triplets) / 1000), &Context::new(1, 0, at as u64))
                        .negative
                })
                .sum()
        }
        _ => {
            let batches = ClassBatches::new(&facts, &ClassBatchOptions::new(64, 4)).unwrap();
            let order = batches.order(1, 0);
            (0..1000).map(|at| order.at(at * 9999) as usize).sum()
        }
    };
    black_box(sum);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{{\"system\": \"many {system}\", \"classes\": {count}, \"set_up_s\": {seconds:.2}, \"peak_mb\": {}, \"peak_mb_before\": {before}}}",
        peak()
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str, default: f64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(default, |text| text.parse().unwrap())
    };
    let system = arguments.first().map_or("pair-indices", String::as_str);
    let (count, seconds) = (value("--classes", 10.0) as u32, value("--seconds", 10.0));
    let workers = value("--workers", 2.0) as usize;
    if let Some(system) = system.strip_prefix("many-") {
        return many(system, count);
    }
    let facts = Facts::new(&classes(SAMPLES, count)).unwrap();
    let pairs = || PairSampler::new(&facts, &PairOptions::default()).unwrap();
    let triplets = || TripletSampler::new(&facts, &TripletOptions::default()).unwrap();
    let (width, each) = if 64 <= count { (64, 2) } else { (8, 16) };
    let class_batches = || ClassBatches::new(&facts, &ClassBatchOptions::new(width, each)).unwrap();
    let ((rate, cpu), unit) = match system {
        "pair-indices" => {
            let sampler = pairs();
            let mut next = planned(Shuffled::new(PairSource::len(&sampler)), BATCH);
            let batch = || {
                let (epoch, batch) = next();
                let pairs: Vec<_> = batch
                    .into_iter()
                    .map(|(index, position)| sampler.tuple(index, &Context::new(1, epoch, position)))
                    .collect();
                black_box(pairs).len()
            };
            (rate(seconds, batch), "pairs/s")
        }
        "triplet-indices" => {
            let sampler = triplets();
            let mut next = planned(Shuffled::new(TripletSource::len(&sampler)), BATCH);
            let batch = || {
                let (epoch, batch) = next();
                let triplets: Vec<_> = batch
                    .into_iter()
                    .map(|(index, position)| sampler.tuple(index, &Context::new(1, epoch, position)))
                    .collect();
                black_box(triplets).len()
            };
            (rate(seconds, batch), "triplets/s")
        }
        "class-batches" => {
            let mut next = planned(class_batches(), BATCH);
            (rate(seconds, || black_box(next()).1.len()), "indices/s")
        }
        "class-batches-loader" => (loaded(images(count), class_batches(), workers, seconds), "images/s"),
        "pairs" => {
            let dataset = PairDataset::new(images(count), pairs(), Parts::Independent).unwrap();
            let order = Shuffled::new(dataset.len());
            (loaded(dataset, order, workers, seconds), "pairs/s")
        }
        "triplets" => {
            let dataset = TripletDataset::new(images(count), triplets(), Parts::Independent).unwrap();
            let order = Shuffled::new(dataset.len());
            (loaded(dataset, order, workers, seconds), "triplets/s")
        }
        other => panic!("there is no system `{other}`"),
    };
    println!(
        "{{\"system\": \"batchwright {system}\", \"workload\": \"W5.c{count}\", \"unit\": \"{unit}\", \"rate\": {rate:.0}, \
         \"cpu_us_per_item\": {cpu:.3}, \"workers\": {workers}, \"peak_mb\": {}}}",
        peak()
    );
}
