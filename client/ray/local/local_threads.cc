#include "client/ray/local/local_threads.h"

#include <utility>

namespace raylet::client {
namespace {

thread_local LocalThreads* threads_of_this_thread = nullptr;

}  // namespace

LocalThreads::LocalThreads(size_t threads_max) : threads_max_(threads_max) {}

LocalThreads::~LocalThreads() { Stop(); }

void LocalThreads::Run(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
    StartIfNeeded();
  }
  work_.notify_one();
}

void LocalThreads::StartIfNeeded() {
  if (!stopping_ && jobs_.size() > idle_ && threads_.size() - blocked_ < threads_max_)
    threads_.emplace_back([this] { Loop(); });
}

void LocalThreads::Loop() {
  threads_of_this_thread = this;
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    work_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    --idle_;
    if (stopping_) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds goes without the lock
    lock.lock();
  }
}

void LocalThreads::Stop() {
  std::vector<std::thread> threads;
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    dropped.swap(jobs_);
  }
  work_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

LocalThreads::Blocked::Blocked(LocalThreads& threads)
    : threads_(threads_of_this_thread == &threads ? &threads : nullptr) {
  if (threads_ == nullptr) return;
  const std::lock_guard lock(threads_->mutex_);
  ++threads_->blocked_;
  threads_->StartIfNeeded();
}

LocalThreads::Blocked::~Blocked() {
  if (threads_ == nullptr) return;
  const std::lock_guard lock(threads_->mutex_);
  --threads_->blocked_;
}

}  // namespace raylet::client
