#include "client/ray/local/local_threads.h"

#include <utility>

namespace raylet::client {
namespace {

thread_local LocalThreads* threads_of_this_thread = nullptr;

}  // namespace

bool LocalThreads::OnOne() { return threads_of_this_thread != nullptr; }

LocalThreads::LocalThreads(size_t threads_max) : threads_max_(threads_max) {}

LocalThreads::~LocalThreads() { Stop(); }

void LocalThreads::Run(std::function<void()> job) {
  {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
    StartIfNeeded();
  }
  work_.NotifyOne();
}

void LocalThreads::StartIfNeeded() {
  if (!stopping_ && jobs_.size() > idle_ && threads_.size() - blocked_ < threads_max_)
    threads_.emplace_back([this] { Loop(); });
}

void LocalThreads::Loop() {
  threads_of_this_thread = this;
  MutexLock lock(mutex_);
  while (true) {
    ++idle_;
    while (!stopping_ && jobs_.empty()) work_.Wait(mutex_);
    --idle_;
    if (stopping_) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.Unlock();
    job();
    job = nullptr;  // destroys its captures without the lock
    lock.Lock();
  }
}

void LocalThreads::Stop() {
  std::vector<std::thread> threads;
  std::deque<std::function<void()>> dropped;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    dropped.swap(jobs_);
  }
  work_.NotifyAll();
  for (std::thread& thread : threads) thread.join();
}

LocalThreads::Blocked::Blocked(LocalThreads& threads)
    : threads_(threads_of_this_thread == &threads ? &threads : nullptr) {
  if (threads_ == nullptr) return;
  const MutexLock lock(threads_->mutex_);
  ++threads_->blocked_;
  threads_->StartIfNeeded();
}

LocalThreads::Blocked::~Blocked() {
  if (threads_ == nullptr) return;
  const MutexLock lock(threads_->mutex_);
  --threads_->blocked_;
}

}  // namespace raylet::client
