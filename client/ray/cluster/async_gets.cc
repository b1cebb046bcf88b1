#include "client/ray/cluster/async_gets.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/process_start.h"
#include "client/ray/cluster/wait_set.h"

namespace raylet::client {

void AsyncGets::Add(ray::internal::ObjectHandle object, std::function<void()> callback) {
  const ClusterObjectPtr state = ObjectOf(parts_, object);
  auto waiting = std::make_shared<Waiting>(Waiting{std::move(object), std::move(callback)});
  if (state->owned() || state->ready()) {
    state->OnReady([this, waiting] { Ready(waiting); });
    return;
  }
  {
    const MutexLock lock(mutex_);
    if (!stopped_) {
      new_borrowed_.push_back(std::move(waiting));
      return WakeThread();
    }
  }
  waiting->callback();
}

void AsyncGets::Ready(WaitingPtr waiting) {
  {
    const MutexLock lock(mutex_);
    if (!stopped_) {
      ready_.push_back(std::move(waiting));
      return WakeThread();
    }
  }
  waiting->callback();
}

void AsyncGets::WakeThread() {
  news_.store(true, std::memory_order_release);
  if (!thread_.joinable()) {
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { Run(); });
  }
  changed_.NotifyAll();
  Ring(parts_.link.doorbell());
}

void AsyncGets::Run() {
  std::vector<WaitingPtr> borrowed;
  for (;;) {
    std::deque<WaitingPtr> ready;
    bool stopped = false;
    {
      const MutexLock lock(mutex_);
      while (ready_.empty() && new_borrowed_.empty() && borrowed.empty() && !stopped_) changed_.Wait(mutex_);
      ready.swap(ready_);
      borrowed.insert(borrowed.end(), std::make_move_iterator(new_borrowed_.begin()),
                      std::make_move_iterator(new_borrowed_.end()));
      new_borrowed_.clear();
      news_.store(false, std::memory_order_release);
      stopped = stopped_;
    }
    RunAll(ready);
    if (stopped || !parts_.link.Alive()) {  // nothing comes any more: each callback finds out why
      RunAll({borrowed.begin(), borrowed.end()});
      borrowed.clear();
      if (stopped) return;
    }
    if (!borrowed.empty()) WaitForBorrowed(borrowed);
  }
}

// Until some of them are ready, or there is other news. Runs the callbacks of those that are.
void AsyncGets::WaitForBorrowed(std::vector<WaitingPtr>& borrowed) {
  std::deque<WaitingPtr> ready;
  {
    std::vector<ray::internal::ObjectHandle> objects;
    objects.reserve(borrowed.size());
    for (const WaitingPtr& waiting : borrowed) objects.push_back(waiting->object);
    WaitSet waits(parts_, wanted_, objects, objects.size());
    SpinPark park(Duration::zero());
    pump_.Park(park, Deadline::Never(), [&] { return news_.load(std::memory_order_acquire) || waits.Look() > 0; });
    for (size_t i = borrowed.size(); i-- > 0;) {
      if (!waits.ready()[i]) continue;
      ready.push_front(std::move(borrowed[i]));
      borrowed.erase(borrowed.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  RunAll(ready);
}

void AsyncGets::RunAll(const std::deque<WaitingPtr>& ready) {
  if (ready.empty()) return;
  ray::internal::Hold wanted;
  if (ready.size() > 1) {
    std::vector<ray::internal::ObjectHandle> objects;
    objects.reserve(ready.size());
    for (const WaitingPtr& waiting : ready) objects.push_back(waiting->object);
    try {
      wanted = ray::internal::CurrentRuntime().Want(objects);  // from other machines, all at once
    } catch (const std::exception&) {
      // Each callback finds out why.
    }
  }
  for (const WaitingPtr& waiting : ready) waiting->callback();
}

void AsyncGets::Stop() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    thread = std::move(thread_);
    changed_.NotifyAll();
  }
  Ring(parts_.link.doorbell());
  if (thread.joinable()) thread.join();
  std::deque<WaitingPtr> left;
  {
    const MutexLock lock(mutex_);
    left.swap(ready_);
    left.insert(left.end(), new_borrowed_.begin(), new_borrowed_.end());
    new_borrowed_.clear();
  }
  RunAll(left);
}

}  // namespace raylet::client
