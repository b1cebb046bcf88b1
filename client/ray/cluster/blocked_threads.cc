#include "client/ray/cluster/blocked_threads.h"

namespace raylet::client {

void BlockedThreads::Add(int change) {
  if (!link_.IsWorker()) return;
  const MutexLock lock(mutex_);
  const bool waited = count_ > 0;
  count_ += change;
  if (waited == (count_ > 0)) return;
  if (!waited && when_blocked_) when_blocked_();
  Tell();
}

void BlockedThreads::SetWhenBlocked(std::function<void()> when_blocked) {
  const MutexLock lock(mutex_);
  when_blocked_ = std::move(when_blocked);
}

bool BlockedThreads::Any() {
  const MutexLock lock(mutex_);
  return count_ > 0;
}

void BlockedThreads::Repeat() {
  const MutexLock lock(mutex_);
  if (count_ > 0) Tell();
}

void BlockedThreads::Tell() {
  wire::BlockedNoticeT notice;
  notice.blocked = count_ > 0;
  link_.Post(wire::RayletMessage::Blocked, notice);  // without a raylet there is no CPU to give away
}

}  // namespace raylet::client
