// EachStore: a look at memory after each store to it, as if its writer had been killed there. For tests with one
// thread.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/check.h"

namespace raylet::store {

// Memory in whole pages: of a file, or without one zeroed.
struct Shared {
  explicit Shared(size_t size, int fd = -1) : bytes(size) {
    const int kind = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, kind | MAP_NORESERVE, fd, 0);
    RAYLET_CHECK(memory != MAP_FAILED, "no memory");
  }
  ~Shared() { ::munmap(memory, bytes); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  size_t bytes;
  void* memory;
};

struct Progress {
  uint64_t begun = 0, done = 0;  // steps of the work
};

// While it lives, calls `look` after each store to `memory`, and before the next one. The memory is read-only: a store
// is a fault, whose handler lets that one instruction run.
class EachStore {
 public:
  EachStore(const Shared& memory, std::function<void()> look) : memory_(memory), look_(std::move(look)) {
    current_ = this;
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    action.sa_sigaction = OnFault;
    ::sigaction(SIGSEGV, &action, &before_fault_);
    action.sa_sigaction = OnStep;
    ::sigaction(SIGTRAP, &action, &before_step_);
    Protect(PROT_READ);
  }
  ~EachStore() {
    Protect(PROT_READ | PROT_WRITE);
    ::sigaction(SIGSEGV, &before_fault_, nullptr);
    ::sigaction(SIGTRAP, &before_step_, nullptr);
    current_ = nullptr;
  }
  EachStore(const EachStore&) = delete;
  EachStore& operator=(const EachStore&) = delete;
  uint64_t stores() const { return stores_; }

 private:
  static constexpr greg_t kTrapFlag = 0x100;

  void Protect(int protection) const {
    RAYLET_CHECK(::mprotect(memory_.memory, memory_.bytes, protection) == 0, "cannot protect memory");
  }
  static void OnFault(int, siginfo_t* info, void* context) {
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    const auto begin = reinterpret_cast<uintptr_t>(current_ == nullptr ? nullptr : current_->memory_.memory);
    RAYLET_CHECK(current_ != nullptr && address >= begin && address < begin + current_->memory_.bytes,
                 "a fault elsewhere");
    current_->Protect(PROT_READ | PROT_WRITE);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= kTrapFlag;
  }
  static void OnStep(int, siginfo_t*, void* context) {
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
    ++current_->stores_;
    if (!testing::Test::HasFatalFailure()) current_->look_();
    current_->Protect(PROT_READ);
  }

  static inline EachStore* current_ = nullptr;
  const Shared& memory_;
  const std::function<void()> look_;
  uint64_t stores_ = 0;
  struct sigaction before_fault_ {
  }, before_step_{};
};

}  // namespace raylet::store
