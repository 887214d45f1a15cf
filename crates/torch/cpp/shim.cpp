// What the bindings lack. Every function returns null, or a message that the caller frees: no exception leaves.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/Version.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/version.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

namespace {

char *message(const char *text) {
  char *copy = strdup(text);
  if (copy == nullptr) std::abort();  // no memory for 100 bytes
  return copy;
}

template <typename F>
char *protect(F work) noexcept {
  try {
    work();
    return nullptr;
  } catch (const c10::Error &error) {
    return message(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("an exception of unknown type");
  }
}

}  // namespace

extern "C" {

void bw_free(char *text) { std::free(text); }

// Takes the owner over at once: `drop(owner)` is called exactly once, also where this fails.
char *bw_from_owner(void *data, const int64_t *sizes, size_t n_sizes, int kind, void *owner,
                    void (*drop)(void *), at::Tensor **out) {
  auto maker = at::for_blob(data, at::IntArrayRef(sizes, n_sizes));
  maker.context(owner, drop);
  return protect([&] {
    maker.target_device(c10::kCPU).options(at::TensorOptions().dtype(static_cast<at::ScalarType>(kind)));
    *out = new at::Tensor(maker.make_tensor());
  });
}

char *bw_pinned(int64_t n_bytes, at::Tensor **out) {
  return protect([&] {
    *out = new at::Tensor(at::empty({n_bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true)));
  });
}

// Starts a copy to a CUDA device on its current stream, and records an event behind it.
char *bw_copy_start(const at::Tensor *source, int device, at::Tensor **out, c10::Event **done) {
  return protect([&] {
    const at::Device to(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    const c10::impl::VirtualGuardImpl backend(at::kCUDA);
    auto event = std::make_unique<c10::Event>(at::kCUDA);
    auto copy = std::make_unique<at::Tensor>(source->to(to, source->scalar_type(), /*non_blocking=*/true));
    try {
      event->record(backend.getStream(to));
    } catch (...) {
      // The copy is on its way and cannot be followed: the source must not go before it has arrived.
      backend.synchronizeDevice(to.index());
      throw;
    }
    *out = copy.release();
    *done = event.release();
  });
}

char *bw_event_query(const c10::Event *event, bool *done) {
  return protect([&] { *done = event->query(); });
}

char *bw_event_wait(const c10::Event *event) {
  return protect([&] { event->synchronize(); });
}

void bw_event_free(c10::Event *event) {
  bw_free(protect([&] { delete event; }));
}

// One step of Adam over all parameters, in one pass over memory. `decoupled`: the weight decay of AdamW.
char *bw_fused_adam(at::Tensor *const *parameters, at::Tensor *const *gradients, at::Tensor *const *means,
                    at::Tensor *const *squares, size_t n, const at::Tensor *step, double lr, double beta1, double beta2,
                    double weight_decay, double eps, bool decoupled) {
  return protect([&] {
    const auto list = [n](at::Tensor *const *tensors) {
      std::vector<at::Tensor> list;
      list.reserve(n);
      for (size_t i = 0; i < n; ++i) list.push_back(*tensors[i]);
      return list;
    };
    const auto p = list(parameters), g = list(gradients), m = list(means), v = list(squares);
    const std::vector<at::Tensor> steps(n, *step);
    const at::NoGradGuard guard;
    if (decoupled) {
      at::_fused_adamw_(p, g, m, v, {}, steps, lr, beta1, beta2, weight_decay, eps, false, false);
    } else {
      at::_fused_adam_(p, g, m, v, {}, steps, lr, beta1, beta2, weight_decay, eps, false, false);
    }
  });
}

const char *bw_version() { return TORCH_VERSION; }

char *bw_cpu_capability(char **out) {
  return protect([&] { *out = message(at::get_cpu_capability().c_str()); });
}
}
