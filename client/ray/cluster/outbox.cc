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

Result<void> Outbox::CheckOpen() const {
  if (stopped_.load(std::memory_order_relaxed)) return Fail(ErrorCode::kCancelled, "Ray has been shut down");
  if (ended_) return Fail(*ended_);
  if (broken_) return Fail(*broken_);
  return {};
}

// False: the socket has taken nothing. Otherwise it has taken a part at least, and the own thread sends the rest.
Result<bool> Outbox::TrySend(uint16_t type, uint64_t request_id, std::span<const std::byte> body) {
  const auto sent = connection_.TrySend(type, request_id, body);
  if (!sent || !*sent) return sent;
  const auto flushed = connection_.Flush();
  if (!flushed) return flushed;
  begun_ = !*flushed;
  if (begun_) SendLater();
  return true;
}

Result<void> Outbox::Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body,
                          const AwakeDeadline& deadline) {
  for (;;) {
    const bool last = deadline.Passed();
    {
      const MutexLock lock(mutex_);
      while (Waits() && CheckOpen() && !deadline.Passed()) changed_.Wait(mutex_, deadline.Next());
      RAYLET_RETURN_IF_ERROR(CheckOpen());
      const auto sent = Waits() ? Result<bool>(false) : TrySend(type, request_id, body);
      if (!sent) return Fail(sent.error());
      if (*sent) return {};
      if (last || Waits())
        return Fail(ErrorCode::kTimedOut, "the daemon took nothing of a message before the deadline");
      ++polling_;
    }
    const auto writable = WaitWritable(connection_.fd(), deadline.Next(kLook));
    const MutexLock lock(mutex_);
    if (--polling_ == 0) changed_.NotifyAll();
    if (!writable) return Fail(writable.error());
  }
}

Result<void> Outbox::Post(uint16_t type, std::span<const std::byte> body, const AwakeDeadline& deadline) {
  const MutexLock lock(mutex_);
  while (kept_bytes_ > kCrowdedBytes && !stalled_ && CheckOpen()) {
    if (deadline.Passed()) stalled_ = true;
    if (!stalled_) changed_.Wait(mutex_, deadline.Next());
  }
  RAYLET_RETURN_IF_ERROR(CheckOpen());
  const auto sent = Waits() ? Result<bool>(false) : TrySend(type, 0, body);
  if (!sent) return Fail(sent.error());
  if (!*sent) {
    if (kept_bytes_ + body.size() > kept_bytes_max_) {
      ended_ = {ErrorCode::kSlowConsumer,
                StrCat("it takes nothing, and ", FormatBytes(kept_bytes_), " of messages wait for it; the limit is ",
                       FormatBytes(kept_bytes_max_))};
      ::shutdown(connection_.fd(), SHUT_RDWR);
      changed_.NotifyAll();
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
    stalled_ = false;
    kept_bytes_ -= kept_.front().body.size();
    kept_.pop_front();
    flushed = connection_.Flush();
  }
  if (!flushed) return flushed;
  begun_ = !*flushed;
  changed_.NotifyAll();  // some wait for room, and some until nothing is kept
  return !Waits();
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
    const auto sent = writable ? SendKept() : writable;
    if (sent) continue;
    broken_ = sent.error();
    changed_.NotifyAll();
    return;
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
    while (polling_ > 0) changed_.Wait(mutex_);  // they have the descriptor
  }
  if (thread.joinable()) thread.join();
}

}  // namespace raylet::client
