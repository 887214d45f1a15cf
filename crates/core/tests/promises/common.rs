//! Data sets to test with, and a watchdog.

use std::sync::mpsc;
use std::time::Duration;

use batchwright_core::{
    Batch, BatchOptions, Batches, BoxError, Context, Dataset, Field, Fingerprint, SampleError, Sampler,
    Sequence, Slot,
};

/// Runs a test, and fails it if it has not ended after a minute: a hang is a failure, not a hang.
pub(crate) fn within_a_minute<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = test();
        let _ = sender.send(());
        result
    });
    match receiver.recv_timeout(Duration::from_mins(1)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        _ => thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)),
    }
}

/// What happens to a sample of [`Samples`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Bad,
    Flaky,
    Denied,
    Panics,
    Slow(Duration),
}

/// A sequence written by hand whose batches take their time.
pub(crate) struct Sleepy(pub(crate) Duration);

impl Sequence for Sleepy {
    fn len(&self) -> usize {
        3
    }
    fn get(&self, _: u64, _: usize) -> Result<Batch, BoxError> {
        std::thread::sleep(self.0);
        Batch::zeroed(vec![Field::new::<u8>("x", &[])], 1)
    }
}

/// Samples that carry their index and a random draw, some of which fail.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) n: usize,
    pub(crate) fates: Vec<(usize, Fate)>,
    pub(crate) fields: Vec<Field>,
    pub(crate) name: &'static str,
    tries: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Samples {
    pub(crate) fn new(n: usize) -> Self {
        let fields = vec![
            Field::new::<i64>("index", &[]),
            Field::new::<f32>("draw", &[3]),
            Field::new::<u8>("bytes", &[1, 2, 5]),
        ];
        Self { n, fates: Vec::new(), fields, name: "samples", tries: std::sync::Arc::default() }
    }

    pub(crate) fn with(mut self, index: usize, fate: Fate) -> Self {
        self.fates.push((index, fate));
        self
    }
}

impl Dataset for Samples {
    fn len(&self) -> usize {
        self.n
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        slot.get::<i64>(0)[0] = index as i64;
        context.stream("draw").fill_normal(slot.get::<f32>(1));
        slot.get::<u8>(2).fill(index as u8);
        match self.fates.iter().find(|(at, _)| *at == index) {
            None => Ok(()),
            Some((_, Fate::Bad)) => Err(SampleError::data(format!("sample {index} is broken"))),
            Some((_, Fate::Flaky)) => {
                let tries = self.tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if tries == 0 { Err(SampleError::data("read error at byte 7")) } else { Ok(()) }
            }
            Some((_, Fate::Denied)) => {
                let error = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
                Err(SampleError::io("open", std::path::Path::new("scan.nii"), error))
            }
            Some((_, Fate::Panics)) => panic!("index {index} out of luck"),
            Some((_, Fate::Slow(time))) => {
                std::thread::sleep(*time);
                Ok(())
            }
        }
    }

    fn id(&self, index: usize) -> String {
        format!("row-{index}")
    }

    fn class(&self, index: usize) -> Option<u32> {
        Some((index % 3) as u32)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with("name", self.name)
    }
}

/// Makes batches of 4 with seed 42, changed by `change`.
pub(crate) fn batches(
    samples: Samples,
    sampler: impl Sampler + 'static,
    change: impl FnOnce(&mut BatchOptions),
) -> Batches<Samples> {
    let mut options = BatchOptions { seed: 42, batch_size: 4, ..BatchOptions::default() };
    change(&mut options);
    Batches::new(samples, sampler, options).unwrap()
}
