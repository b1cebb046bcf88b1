#include "client/plasma/fork_guard.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <utility>

#include "base/strings.h"

namespace raylet::client {

namespace {

constexpr int kRegisteredMax = 256;  // connections of one process; further ones stay open in its children

// Descriptor + 1; 0 is free. Constant-initialised and never destroyed: the handler below may run at any time.
std::array<std::atomic<int>, kRegisteredMax> registered{};

// Runs in the child, on its only thread. It makes only system calls that are safe after a fork of a threaded process.
void OnChild() {
  int null_fd = -1;
  for (std::atomic<int>& place : registered) {
    const int fd = place.load(std::memory_order_relaxed) - 1;
    if (fd < 0) continue;
    if (null_fd < 0) null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    // Replaced, not closed: its owner will close this number, which by then could belong to somebody else.
    if (null_fd >= 0) ::dup3(null_fd, fd, O_CLOEXEC);
  }
  if (null_fd >= 0) ::close(null_fd);
}

void RegisterHandler() { [[maybe_unused]] static const int result = ::pthread_atfork(nullptr, nullptr, OnChild); }

}  // namespace

ForkGuard::ForkGuard() {
  CountForks();
  RegisterHandler();
  generation_ = ForkGeneration();
}

tl::unexpected<Error> ForkGuard::Refuse(const std::string& socket) {
  return Fail(ErrorCode::kForked, StrCat("this process was forked from the one that connected to the store at ", socket,
                                         ": connect anew in the child, or fork before connecting"));
}

ClosedInChildren::ClosedInChildren(int fd) {
  RegisterHandler();
  for (int i = 0; i < kRegisteredMax; ++i) {
    int free = 0;
    if (registered[static_cast<size_t>(i)].compare_exchange_strong(free, fd + 1, std::memory_order_relaxed)) {
      place_ = i;
      return;
    }
  }
}

ClosedInChildren::ClosedInChildren(ClosedInChildren&& other) noexcept : place_(std::exchange(other.place_, -1)) {}

ClosedInChildren& ClosedInChildren::operator=(ClosedInChildren&& other) noexcept {
  std::swap(place_, other.place_);
  return *this;
}

ClosedInChildren::~ClosedInChildren() {
  if (place_ >= 0) registered[static_cast<size_t>(place_)].store(0, std::memory_order_relaxed);
}

}  // namespace raylet::client
