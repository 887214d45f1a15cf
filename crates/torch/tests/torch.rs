//! What is promised of tensors over a buffer of ours, on the CPU.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use batchwright_torch::{Error, PinnedBuffer, Transfers, facts, set_threads, tensor_from_owner};
use tch::{Device, Kind, Tensor};

/// An aligned buffer that counts its drops.
struct Probe {
    memory: Vec<u8>,
    start: usize,
    len: usize,
    drops: Arc<AtomicUsize>,
}

impl Probe {
    fn new(bytes: &[u8]) -> (Self, Arc<AtomicUsize>) {
        let mut memory = vec![0; bytes.len() + 64];
        let start = memory.as_ptr().align_offset(64);
        memory[start..start + bytes.len()].copy_from_slice(bytes);
        let drops = Arc::new(AtomicUsize::new(0));
        (Self { memory, start, len: bytes.len(), drops: Arc::clone(&drops) }, drops)
    }

    fn of_f32(values: &[f32]) -> (Self, Arc<AtomicUsize>) {
        Self::new(&values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<_>>())
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

/// A pinned buffer that counts its drops.
struct Pinned(PinnedBuffer, Arc<AtomicUsize>);

impl Drop for Pinned {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

fn count(drops: &AtomicUsize) -> usize {
    drops.load(Ordering::SeqCst)
}

#[test]
fn the_tensor_has_the_values_of_the_buffer_in_every_kind() {
    fn case(bytes: &[u8], kind: Kind, expected: &[f64]) {
        let (probe, drops) = Probe::new(bytes);
        let shape = [expected.len() as i64];
        let tensor = tensor_from_owner(probe, Probe::bytes, &shape, kind).unwrap();
        assert_eq!(tensor.kind(), kind);
        assert_eq!(tensor.device(), Device::Cpu);
        assert_eq!(Vec::<f64>::try_from(tensor.to_kind(Kind::Double)).unwrap(), expected, "{kind:?}");
        drop(tensor);
        assert_eq!(count(&drops), 1, "{kind:?}");
    }
    let joined = |parts: &[&[u8]]| parts.concat();
    case(&[0, 200], Kind::Uint8, &[0.0, 200.0]);
    case(&[255, 127], Kind::Int8, &[-1.0, 127.0]);
    case(&[0, 1, 1], Kind::Bool, &[0.0, 1.0, 1.0]);
    case(&joined(&[&(-300_i16).to_ne_bytes(), &7_i16.to_ne_bytes()]), Kind::Int16, &[-300.0, 7.0]);
    case(&joined(&[&(-70_000_i32).to_ne_bytes()]), Kind::Int, &[-70_000.0]);
    case(&joined(&[&(1_i64 << 40).to_ne_bytes()]), Kind::Int64, &[1_099_511_627_776.0]);
    case(&joined(&[&0.5_f32.to_ne_bytes(), &(-2.0_f32).to_ne_bytes()]), Kind::Float, &[0.5, -2.0]);
    case(&joined(&[&1e-300_f64.to_ne_bytes()]), Kind::Double, &[1e-300]);
}

#[test]
fn the_memory_is_shared_and_not_copied() {
    let (mut probe, _) = Probe::of_f32(&[1.0, 2.0, 3.0, 4.0]);
    let address = probe.bytes().as_ptr();
    let mut tensor = tensor_from_owner(probe, Probe::bytes, &[2, 2], Kind::Float).unwrap();
    assert_eq!(tensor.data_ptr().cast_const().cast(), address);
    let view = tensor.shallow_clone().narrow(0, 1, 1);
    let _ = tensor.fill_(7.0);
    assert_eq!(view.double_value(&[0, 1]), 7.0);
}

#[test]
fn memory_inside_of_the_owner_stays_where_it_is() {
    let tensor = tensor_from_owner([1_u8, 2, 3], |owner| owner, &[3], Kind::Uint8).unwrap();
    assert_eq!(Vec::<u8>::try_from(tensor).unwrap(), [1, 2, 3]);
}

#[test]
fn the_owner_is_dropped_once_with_the_last_view() {
    let (probe, drops) = Probe::of_f32(&[0.0; 12]);
    let tensor = tensor_from_owner(probe, Probe::bytes, &[3, 4], Kind::Float).unwrap();
    let row = tensor.narrow(0, 1, 1);
    let transposed = tensor.transpose(0, 1);
    drop(tensor);
    assert_eq!(count(&drops), 0);
    drop(transposed);
    assert_eq!(count(&drops), 0);
    assert_eq!(row.size(), [1, 4]);
    drop(row);
    assert_eq!(count(&drops), 1);
}

#[test]
fn autograd_keeps_the_buffer_after_the_tensor_is_gone() {
    let (probe, drops) = Probe::of_f32(&[1.0, 2.0, 3.0]);
    let x = tensor_from_owner(probe, Probe::bytes, &[3], Kind::Float).unwrap();
    let w = Tensor::from_slice(&[10.0_f32, 20.0, 30.0]).set_requires_grad(true);
    let y = (&x * &w).sum(Kind::Float);
    drop(x);
    assert_eq!(count(&drops), 0, "the gradient of w needs x");
    y.backward();
    assert_eq!(Vec::<f32>::try_from(w.grad()).unwrap(), [1.0, 2.0, 3.0]);
    drop(y);
    assert_eq!(count(&drops), 1);
}

#[test]
fn the_last_view_may_go_on_another_thread() {
    let (probe, drops) = Probe::of_f32(&[1.0, 2.0]);
    let tensor = tensor_from_owner(probe, Probe::bytes, &[2], Kind::Float).unwrap();
    let sum = std::thread::spawn(move || tensor.sum(Kind::Double).double_value(&[])).join().unwrap();
    assert_eq!(sum, 3.0);
    assert_eq!(count(&drops), 1);
}

#[test]
fn many_tensors_drop_as_many_owners() {
    let drops = Arc::new(AtomicUsize::new(0));
    for n in 0..1000_usize {
        let (mut probe, _) = Probe::new(&vec![1; n]);
        probe.drops = Arc::clone(&drops);
        let tensor = tensor_from_owner(probe, Probe::bytes, &[n as i64], Kind::Uint8).unwrap();
        assert_eq!(tensor.sum(Kind::Int64).int64_value(&[]), n as i64);
    }
    assert_eq!(count(&drops), 1000);
}

#[test]
fn an_empty_array_is_a_tensor_and_its_owner_is_dropped() {
    let (probe, drops) = Probe::new(&[]);
    let tensor = tensor_from_owner(probe, Probe::bytes, &[0, 28, 28], Kind::Double).unwrap();
    assert_eq!(tensor.size(), [0, 28, 28]);
    assert_eq!(tensor.numel(), 0);
    drop(tensor);
    assert_eq!(count(&drops), 1);
    let tensor = tensor_from_owner(Vec::new(), Vec::as_mut_slice, &[0], Kind::Float).unwrap();
    assert_eq!(tensor.sum(Kind::Float).double_value(&[]), 0.0);
}

#[test]
fn a_scalar_is_a_tensor_without_axes() {
    let (probe, _) = Probe::of_f32(&[4.5]);
    let tensor = tensor_from_owner(probe, Probe::bytes, &[], Kind::Float).unwrap();
    assert_eq!(tensor.dim(), 0);
    assert_eq!(tensor.double_value(&[]), 4.5);
}

#[test]
fn what_does_not_fit_is_an_error_and_the_owner_is_dropped() {
    fn refused(bytes: &[u8], shape: &[i64], kind: Kind) -> Error {
        let (probe, drops) = Probe::new(bytes);
        let error = tensor_from_owner(probe, Probe::bytes, shape, kind).unwrap_err();
        assert_eq!(count(&drops), 1);
        error
    }
    assert_eq!(
        refused(&[0; 20], &[2, 3], Kind::Float).to_string(),
        "a tensor of shape [2, 3] and kind Float needs a buffer of 24 bytes, found 20"
    );
    assert!(matches!(refused(&[0; 4], &[], Kind::Double), Error::Size { expected: 8, found: 4, .. }));
    assert!(matches!(refused(&[0; 4], &[-1], Kind::Uint8), Error::Shape { .. }));
    assert!(matches!(refused(&[0; 4], &[i64::MAX, 3, 0], Kind::Uint8), Error::Shape { .. }));
    assert!(matches!(refused(&[0; 4], &[1 << 62, 8], Kind::Uint8), Error::Shape { .. }));
    assert!(matches!(refused(&[0; 4], &[2], Kind::Half), Error::Kind { kind: Kind::Half }));
    assert_eq!(
        refused(&[0, 1, 2], &[3], Kind::Bool).to_string(),
        "byte 2 of a buffer of booleans is 2, expected 0 or 1"
    );
}

#[test]
fn a_misaligned_buffer_is_an_error() {
    let (mut probe, drops) = Probe::of_f32(&[0.0; 4]);
    (probe.start, probe.len) = (probe.start + 2, 8);
    let error = tensor_from_owner(probe, Probe::bytes, &[2], Kind::Float).unwrap_err();
    assert!(matches!(error, Error::Alignment { expected: 4, found: 2, .. }), "{error}");
    assert_eq!(count(&drops), 1);
}

#[test]
fn a_panic_while_lending_drops_the_owner_once() {
    let (probe, drops) = Probe::new(&[0]);
    let result = std::panic::catch_unwind(move || {
        tensor_from_owner(probe, |_| panic!("lends nothing"), &[1], Kind::Uint8).map(drop)
    });
    assert!(result.is_err());
    assert_eq!(count(&drops), 1);
}

#[test]
fn a_panic_in_the_drop_of_the_owner_stays_in_rust() {
    struct Bad(Vec<u8>, Arc<AtomicUsize>);
    impl Drop for Bad {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
            panic!("a panic that the test wants");
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let bad = Bad(vec![1], Arc::clone(&drops));
    let tensor = tensor_from_owner(bad, |bad| &mut bad.0, &[1], Kind::Uint8).unwrap();
    drop(tensor);
    assert_eq!(count(&drops), 1);
}

#[test]
fn libtorch_tells_its_version_and_cpu_capability() {
    let facts = facts().unwrap();
    assert!(facts.version.starts_with("2.11."), "{facts:?}");
    assert!(!facts.cpu_capability.is_empty(), "{facts:?}");
    assert!(0 < facts.threads);
    assert_eq!(facts.has_cuda(), tch::Cuda::is_available());
}

#[test]
fn the_number_of_threads_can_be_set() {
    let before = NonZeroUsize::new(facts().unwrap().threads).unwrap();
    let one = NonZeroUsize::new(1).unwrap();
    set_threads(one).unwrap();
    assert_eq!(facts().unwrap().threads, 1);
    set_threads(before).unwrap();
    assert_eq!(facts().unwrap().threads, before.get());
    assert!(set_threads(NonZeroUsize::MAX).is_err());
}

#[test]
fn without_cuda_pinned_memory_and_transfers_are_refused() {
    if tch::Cuda::is_available() {
        println!("skipped: this machine has CUDA");
        return;
    }
    let error = PinnedBuffer::new(16).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot allocate pinned memory without CUDA: this libtorch sees no CUDA device"
    );
    assert!(matches!(Transfers::new(Device::Cuda(0)), Err(Error::NoCuda { .. })));
}

#[test]
fn with_cuda_a_pinned_batch_arrives_and_its_buffer_comes_back() {
    if !tch::Cuda::is_available() {
        println!("skipped: this machine has no CUDA");
        return;
    }
    assert!(matches!(Transfers::new(Device::Cpu), Err(Error::Device { .. })));
    let drops = Arc::new(AtomicUsize::new(0));
    let mut transfers = Transfers::new(Device::Cuda(0)).unwrap();
    for n in 0..20_u8 {
        let mut buffer = PinnedBuffer::new(1 << 20).unwrap();
        buffer.as_mut_slice().fill(n);
        let owner = Pinned(buffer, Arc::clone(&drops));
        let source =
            tensor_from_owner(owner, |owner| owner.0.as_mut_slice(), &[1 << 20], Kind::Uint8).unwrap();
        let sent = transfers.send(source).unwrap();
        assert_eq!(sent.device(), Device::Cuda(0));
        assert_eq!(sent.sum(Kind::Int64).int64_value(&[]), i64::from(n) << 20);
    }
    assert!(transfers.on_the_way() < 20);
    drop(transfers);
    assert_eq!(count(&drops), 20);
}
