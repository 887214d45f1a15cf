//! `batchwright bench`: the loader alone.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use batchwright_core::{Dataset, Heap, Loader, Pool, Sequence};
use serde_json::json;

use crate::arguments::Bench;
use crate::failure::{Failure, Result};
use crate::{open, print};

pub(crate) fn run(arguments: &Bench) -> Result<ExitCode> {
    for (name, value) in [("--seconds", arguments.seconds), ("--warm", arguments.warm)] {
        if !(0.0..=86_400.0).contains(&value) {
            return Err(Failure::usage(anyhow!("{name} is {value}; expected 0 to 86400 seconds")));
        }
    }
    let config = open::config(&arguments.configuration)?;
    let opened = open::data(&arguments.configuration, &config)?;
    let described = opened.describe();
    open::advise(&config, &opened);
    let batches = opened.training;
    let (rows, bytes) = (batches.plan().rows(), open::sample_bytes(&batches));
    let (len, options) = (batches.len(), config.loader_options());
    let workers = options.workers;
    let unit = open::unit(&batches);
    // A copy reads as much as it writes; a patch is cut out of another number of bytes than it is made of.
    let moved = open::stored_bytes(&batches).map_or(bytes, |stored| usize::midpoint(stored, bytes));
    let (files, patches) = (open::compressed_files(&batches), batches.dataset().len());

    let start = Instant::now();
    let mut loader = Loader::new(batches, options);
    let mut next =
        || loader.next_batch().map_or(Ok(0), |batch| batch.map(|batch| batch.len())).map_err(Failure::load);
    let mut epoch = next()?;
    let first = start.elapsed();
    let first_epoch = if arguments.first_epoch {
        for _ in 1..len {
            epoch += next()?;
        }
        Some(epoch as f64 / start.elapsed().as_secs_f64())
    } else {
        None
    };
    let warm = Instant::now();
    while warm.elapsed().as_secs_f64() < arguments.warm {
        next()?;
    }
    let (cpu, start) = (cpu_seconds(), Instant::now());
    let (mut samples, mut count, mut gap, mut last) = (0, 0_u64, Duration::ZERO, start);
    while (last - start).as_secs_f64() < arguments.seconds || count == 0 {
        samples += next()?;
        count += 1;
        let now = Instant::now();
        gap = gap.max(now - last);
        last = now;
    }
    let seconds = (last - start).as_secs_f64();
    let cpu = cpu.zip(cpu_seconds()).map(|(before, after)| after - before);
    let statistics = loader.statistics();
    // While the loader still has its memory, so that this takes memory as fresh as it took.
    let decode = if arguments.first_epoch { decode_alone(&files, patches, workers.max(1))? } else { None };
    drop(loader);
    let rate = samples as f64 / seconds;
    let copied = copy_rate(rows * moved, workers.max(1), arguments.seconds.clamp(0.1, 1.0))? * rows as f64;

    if arguments.json {
        let line = json!({
            "system": "batchwright",
            "workload": config.name,
            "unit": format!("{unit}/s"),
            "rate": rate,
            "items": samples,
            "batches_per_s": count as f64 / seconds,
            "ttfb_s": first.as_secs_f64(),
            "max_gap_s": gap.as_secs_f64(),
            "cpu_ms_per_item": cpu.map(|cpu| cpu / samples as f64 * 1e3),
            "cores": cpu.map(|cpu| cpu / seconds),
            "out_mb_s": rate * bytes as f64 / 1e6,
            "memcpy_rate": copied,
            "of_memcpy": rate / copied,
            "first_epoch_rate": first_epoch,
            "decode_rate": decode,
            "stages": statistics.stages.iter().map(|(name, time)| (name.clone(), time.as_secs_f64())).collect::<std::collections::BTreeMap<_, _>>(),
            "waiting": statistics.waiting(),
            "settings": { "batch": rows, "workers": workers, "seconds": arguments.seconds },
        });
        print(&line.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("{described}\n"))?;
    print(&format!(
        "{rate:>14.0} {unit}/s, {:.1} batches/s of {rows}, {workers} workers",
        count as f64 / seconds
    ))?;
    print(&format!(
        "{:>14.1} MB/s of batches, {:.0} % of what memcpy of the bytes read and written allows ({copied:.0} {unit}/s, as \
         many threads)",
        rate * bytes as f64 / 1e6,
        rate / copied * 100.0
    ))?;
    if let Some(first_epoch) = first_epoch {
        print(&format!("{first_epoch:>14.0} {unit}/s in the first epoch"))?;
    }
    if let Some(decode) = decode {
        print(&format!(
            "{decode:>14.0} {unit}/s is what libdeflate alone allows there (each file once, into fresh memory, as many \
             threads){}",
            first_epoch.map_or_else(String::new, |rate| format!(": {:.0} % of it", rate / decode * 100.0))
        ))?;
    }
    print(&format!(
        "{:>14.1} ms to the first batch, {:.1} ms the longest gap",
        first.as_secs_f64() * 1e3,
        gap.as_secs_f64() * 1e3
    ))?;
    print(&format!("{:>14.2} s an epoch of {len} batches", len as f64 * seconds / count as f64))?;
    if let Some(cpu) = cpu {
        print(&format!(
            "{:>14.2} us of processor time a sample, {:.2} cores busy",
            cpu / samples as f64 * 1e6,
            cpu / seconds
        ))?;
    }
    print(&format!(
        "{:>14.2} batches ready when asked for, of {} at most",
        statistics.mean_ready, statistics.max_depth
    ))?;
    print("\ntime of reading, over workers:")?;
    let reading = statistics.reading.as_secs_f64().max(1e-9);
    for (stage, time) in &statistics.stages {
        print(&format!("{:>13.1} %  {stage}", time.as_secs_f64() / reading * 100.0))?;
    }
    let staged: f64 = statistics.stages.values().map(Duration::as_secs_f64).sum();
    print(&format!("{:>13.1} %  (no stage named)", (1.0 - staged / reading).max(0.0) * 100.0))?;
    print(&format!("\nlimited by {}", statistics.bottleneck()))?;
    Ok(ExitCode::SUCCESS)
}

/// Samples per second of an epoch in which nothing is done but to inflate each compressed file once, by so many threads,
/// into memory that is kept, up to 4 GiB.
fn decode_alone(files: &[PathBuf], samples: usize, threads: usize) -> Result<Option<f64>> {
    const KEPT: usize = 4 << 30;
    if files.is_empty() {
        return Ok(None);
    }
    let (next, kept) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Instant::now();
    let outcomes: Vec<std::result::Result<(), batchwright_nifti::Error>> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let bytes = batchwright_nifti::inflate_alone(file)?;
                if kept.fetch_add(bytes.len(), Ordering::Relaxed) < KEPT {
                    mine.push(bytes);
                }
            }
            std::hint::black_box(mine);
            Ok(())
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(()))).collect()
    });
    for outcome in outcomes {
        outcome.map_err(|error| Failure::data(error.into()))?;
    }
    Ok(Some(samples as f64 / start.elapsed().as_secs_f64()))
}

/// Copies per second of the bytes of one batch between two buffers of a pool, by so many threads together.
fn copy_rate(bytes: usize, threads: usize, seconds: f64) -> Result<f64> {
    let pool = Pool::new(Arc::new(Heap), bytes, 2 * threads);
    let mut buffers = Vec::new();
    for _ in 0..2 * threads {
        buffers.push(pool.take().map_err(|error| Failure::environment(anyhow!(error)))?);
    }
    let start = Instant::now();
    let copies: u64 = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        while let (Some(from), Some(mut to)) = (buffers.pop(), buffers.pop()) {
            threads.push(scope.spawn(move || {
                let mut copies = 0;
                while start.elapsed().as_secs_f64() < seconds {
                    for _ in 0..16 {
                        to.copy_from(std::hint::black_box(&from));
                        std::hint::black_box(&mut to);
                        copies += 1;
                    }
                }
                copies
            }));
        }
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    Ok(copies as f64 / start.elapsed().as_secs_f64())
}

/// Returns the processor time of this process, user and system, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut numbers = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: f64 = numbers.next()?.parse::<f64>().ok()? + numbers.next()?.parse::<f64>().ok()?;
    // Linux counts in hundredths of a second on every architecture that it shows to programs.
    Some(ticks / 100.0)
}
