#include "client/ray/cluster/outbox.h"

#include <sys/socket.h>

#include <utility>

#include "base/process_start.h"
#include "base/strings.h"
#include "base/unix_socket.h"

namespace raylet::client {
namespace {

constexpr Duration kLook = std::chrono::milliseconds(100);  // whether this process stops

}  // namespace

// False at the deadline. Otherwise the socket has taken a part at least, and `begun_` says whether a rest is left.
Result<bool> Outbox::TrySend(uint16_t type, uint64_t request_id, std::span<const std::byte> body,
                             const AwakeDeadline& deadline) {
  for (;;) {
    const auto sent = connection_.TrySend(type, request_id, body);
    if (!sent) return sent;
    if (*sent) break;
    const auto writable = WaitWritable(connection_.fd(), deadline.Next());
    if (!writable || (!*writable && deadline.Passed())) return writable;
  }
  auto flushed = connection_.Flush();
  while (flushed && !*flushed) {
    const auto writable = WaitWritable(connection_.fd(), deadline.Next());
    if (!writable) return writable;
    if (!*writable && deadline.Passed()) break;
    flushed = connection_.Flush();
  }
  if (!flushed) return flushed;
  begun_ = !*flushed;
  return true;
}

Result<void> Outbox::Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body,
                          const AwakeDeadline& deadline) {
  const MutexLock lock(mutex_);
  while (Waits() && !stopped_.load(std::memory_order_relaxed) && !deadline.Passed())
    changed_.Wait(mutex_, deadline.Next());
  if (stopped_.load(std::memory_order_relaxed)) return Fail(ErrorCode::kCancelled, "Ray has been shut down");
  const auto sent = Waits() ? Result<bool>(false) : TrySend(type, request_id, body, deadline);
  if (!sent) return Fail(sent.error());
  if (!*sent) return Fail(ErrorCode::kTimedOut, "the daemon took nothing of a message before the deadline");
  if (begun_) SendLater();
  return {};
}

Result<void> Outbox::Post(uint16_t type, std::span<const std::byte> body, const AwakeDeadline& deadline) {
  const MutexLock lock(mutex_);
  if (stopped_.load(std::memory_order_relaxed)) return Fail(ErrorCode::kCancelled, "Ray has been shut down");
  const auto sent = Waits() ? Result<bool>(false) : TrySend(type, 0, body, deadline);
  if (!sent) return Fail(sent.error());
  if (!*sent) {
    if (kept_bytes_ + body.size() > kept_bytes_max_) {
      ended_ = {ErrorCode::kSlowConsumer,
                StrCat("it takes nothing, and ", FormatBytes(kept_bytes_), " of messages wait for it; the limit is ",
                       FormatBytes(kept_bytes_max_))};
      ::shutdown(connection_.fd(), SHUT_RDWR);
      return Fail(*ended_);
    }
    kept_.push_back({type, {body.begin(), body.end()}});
    kept_bytes_ += body.size();
  }
  if (Waits()) SendLater();
  return {};
}

// As much as the socket takes. True: all.
Result<bool> Outbox::SendKept() {
  auto flushed = connection_.Flush();
  while (flushed && *flushed && !kept_.empty()) {
    const auto taken = connection_.TrySend(kept_.front().type, 0, kept_.front().body);
    if (!taken) return taken;
    if (!*taken) break;
    kept_bytes_ -= kept_.front().body.size();
    kept_.pop_front();
    flushed = connection_.Flush();
  }
  if (!flushed) return flushed;
  begun_ = !*flushed;
  if (Waits()) return false;
  changed_.NotifyAll();
  return true;
}

void Outbox::SendLater() {
  changed_.NotifyAll();
  if (thread_.joinable()) return;
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { Run(); });
}

void Outbox::Run() {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      while (!Waits() && !stopped_.load(std::memory_order_relaxed)) changed_.Wait(mutex_);
      if (stopped_.load(std::memory_order_relaxed)) return;
    }
    // Without the lock, so that others can add messages.
    const auto writable = WaitWritable(connection_.fd(), Deadline::After(kLook));
    if (stopped_.load(std::memory_order_acquire)) return;
    const MutexLock lock(mutex_);
    if (!writable || !SendKept()) return;  // the connection has ended
  }
}

std::optional<Error> Outbox::WhyEnded() const {
  const MutexLock lock(mutex_);
  return ended_;
}

void Outbox::Stop() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stopped_.store(true, std::memory_order_release);
    changed_.NotifyAll();
    std::swap(thread, thread_);
  }
  if (thread.joinable()) thread.join();
}

}  // namespace raylet::client
