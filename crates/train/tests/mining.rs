//! How much memory mining takes: alone in its process.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![cfg(target_os = "linux")]

use batchwright_config::Mining;
use batchwright_train::metric::{Candidates, mine};
use tch::{Device, Kind, Tensor};

/// The most memory that the process has had at once, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_batch_of_4096_is_mined_within_256_mb() {
    let small = |n: i64| {
        let rows = Tensor::randn([n, 128], (Kind::Float, Device::Cpu));
        let labels = Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(2);
        for mining in
            [Mining::Hard, Mining::SemiHard { cap: None }, Mining::Scheduled { from: 0.3, to: 1.0, steps: 9 }]
        {
            let candidates = Candidates::new(&rows, &labels).unwrap();
            let triplets = mine(&candidates, mining, 1).unwrap();
            assert!(n <= triplets.anchors.size()[0]);
        }
    };
    // What libtorch takes for itself.
    small(64);
    let before = peak();
    small(4096);
    let more = (peak() - before) * 1024;
    assert!(more < 256_000_000, "{more} bytes");
}
