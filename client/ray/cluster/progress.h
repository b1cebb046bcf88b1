// Progress: a thread that waits where no user's thread does. It takes replies while no thread is in Get, and writes
// values into the store that found no room there before. Owned by ClusterParts; any thread. The first Add starts the
// thread, which sleeps while the count is zero.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/reply_pump.h"

namespace raylet::client {

class ClusterObject;

class Progress {
 public:
  Progress(RayletLink& link, ReplyPump& pump) : link_(link), pump_(pump) {}
  void Stop() RAYLET_EXCLUDES(mutex_);  // joins the thread; after RayletLink::Stop

  // The thread runs while Add was called more often than Remove.
  void Add() RAYLET_EXCLUDES(mutex_);
  void Remove();
  // Other processes wait for the object, and the store is full. Tries again to write it, while the object lives. Takes
  // over one Add of the caller, and calls Remove for it in the end.
  void WriteLater(std::weak_ptr<ClusterObject> object) RAYLET_EXCLUDES(mutex_);

 private:
  bool Wanted() const { return wanted_.load(std::memory_order_seq_cst) > 0; }
  void Run() RAYLET_EXCLUDES(mutex_);
  void WriteUnwritten() RAYLET_EXCLUDES(mutex_);

  RayletLink& link_;
  ReplyPump& pump_;
  std::atomic<int64_t> wanted_{0};
  std::atomic<size_t> unwritten_count_{0};  // size of unwritten_, for the thread's look while it waits

  Mutex mutex_;
  ConditionVariable changed_;
  std::thread thread_ RAYLET_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<ClusterObject>> unwritten_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
