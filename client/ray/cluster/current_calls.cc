#include "client/ray/cluster/current_calls.h"

#include <algorithm>

namespace raylet::client {
namespace {

thread_local const CurrentCalls::Call* call_here = nullptr;

}  // namespace

CurrentCalls::Call::Call(CurrentCalls& calls, const ObjectId& result) : calls_(calls), result_(result) {
  call_here = this;
  const MutexLock lock(calls_.mutex_);
  calls_.running_.push_back(this);
  if (calls_.early_.empty()) return;
  const auto early = std::find(calls_.early_.begin(), calls_.early_.end(), result);
  if (early == calls_.early_.end()) return;
  calls_.early_.erase(early);
  cancelled_.store(true, std::memory_order_relaxed);
}

CurrentCalls::Call::~Call() {
  call_here = nullptr;
  const MutexLock lock(calls_.mutex_);
  std::erase(calls_.running_, this);
}

void CurrentCalls::Cancel(const ObjectId& result) {
  const MutexLock lock(mutex_);
  for (Call* const call : running_) {
    if (call->result_ != result) continue;
    call->cancelled_.store(true, std::memory_order_relaxed);
    return;
  }
  early_.push_back(result);
  if (early_.size() > kEarlyMax) early_.pop_front();
}

bool CurrentCalls::IsCancelledHere() { return call_here != nullptr && call_here->IsCancelled(); }

}  // namespace raylet::client
