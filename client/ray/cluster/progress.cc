#include "client/ray/cluster/progress.h"

#include <algorithm>
#include <utility>

#include "base/process_start.h"
#include "client/ray/cluster/cluster_object.h"

namespace raylet::client {
namespace {

constexpr Duration kWriteAgainPause = std::chrono::milliseconds(100);
constexpr Duration kSleepSlice = std::chrono::seconds(1);  // a safeguard only: Add and Stop both notify

}  // namespace

void Progress::Add() {
  if (wanted_.fetch_add(1, std::memory_order_seq_cst) > 0) return;
  const MutexLock lock(mutex_);
  if (!link_.Usable()) return;
  const SignalsBlocked blocked;
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  changed_.NotifyAll();
}

void Progress::Remove() { wanted_.fetch_sub(1, std::memory_order_seq_cst); }

void Progress::Stop() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    thread = std::move(thread_);
    changed_.NotifyAll();
  }
  if (thread.joinable()) thread.join();
}

void Progress::Run() {
  SpinPark park(Duration::zero());
  size_t unwritten = 0;
  const auto idle = [this, &unwritten] {
    return unwritten_count_.load(std::memory_order_acquire) > unwritten || !Wanted() || !link_.Alive();
  };
  while (link_.Alive()) {
    {
      const MutexLock lock(mutex_);
      if (!Wanted() && link_.Alive()) changed_.Wait(mutex_, Deadline::After(kSleepSlice));
    }
    if (!Wanted()) continue;
    if (unwritten_count_.load(std::memory_order_acquire) > 0) WriteUnwritten();
    unwritten = unwritten_count_.load(std::memory_order_acquire);
    pump_.Park(park, unwritten > 0 ? Deadline::After(kWriteAgainPause) : Deadline::Never(), idle);
  }
}

void Progress::WriteLater(std::weak_ptr<ClusterObject> object) {
  {
    const MutexLock lock(mutex_);
    unwritten_.push_back(std::move(object));
    unwritten_count_.store(unwritten_.size(), std::memory_order_release);
  }
  Ring(link_.doorbell());
}

void Progress::WriteUnwritten() {
  std::vector<std::weak_ptr<ClusterObject>> objects;
  {
    const MutexLock lock(mutex_);
    objects.swap(unwritten_);
  }
  bool full = false;
  const auto written = std::remove_if(objects.begin(), objects.end(), [&](const auto& each) {
    const ClusterObjectPtr object = full ? nullptr : each.lock();
    full = full || (object != nullptr && !object->WriteIfThereIsRoom());
    if (full) return false;
    Remove();  // the object is in the store, or nobody can ask for it any more
    return true;
  });
  objects.erase(written, objects.end());
  const MutexLock lock(mutex_);
  unwritten_.insert(unwritten_.end(), objects.begin(), objects.end());
  unwritten_count_.store(unwritten_.size(), std::memory_order_release);
}

}  // namespace raylet::client
