#include "client/ray/local/callback_thread.h"

#include <utility>

namespace raylet::client {

CallbackThread::Callback CallbackThread::Add(std::function<void()> callback) {
  auto shared = std::make_shared<std::function<void()>>(std::move(callback));
  const MutexLock lock(mutex_);
  waiting_.insert(shared);
  return shared;
}

void CallbackThread::Run(const Callback& callback) {
  {
    const MutexLock lock(mutex_);
    if (!stopped_) {
      if (waiting_.erase(callback) == 0) return;
      next_.push_back(callback);
      if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
      changed_.NotifyAll();
      return;
    }
    if (waiting_.erase(callback) == 0) return;  // Stop has run it
  }
  (*callback)();
}

void CallbackThread::Loop() {
  for (;;) {
    Callback callback;
    {
      const MutexLock lock(mutex_);
      while (next_.empty() && !stopped_) changed_.Wait(mutex_);
      if (next_.empty()) return;
      callback = std::move(next_.front());
      next_.pop_front();
    }
    (*callback)();
  }
}

void CallbackThread::Stop() {
  std::thread thread;
  std::set<Callback> left;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    left.swap(waiting_);
    thread = std::move(thread_);
    changed_.NotifyAll();
  }
  if (thread.joinable()) thread.join();
  for (const Callback& callback : left) (*callback)();
}

}  // namespace raylet::client
