// MetricsReporter: tells the raylet what this process has recorded with <ray/api/metric.h>. One thread, which the first
// record starts, and which sleeps while nothing is recorded. Owned by ClusterParts; any thread.
#pragma once

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "client/ray/cluster/raylet_link.h"

namespace raylet::client {

class MetricsReporter {
 public:
  static constexpr Duration kEvery = std::chrono::milliseconds(500);

  explicit MetricsReporter(RayletLink& link) : link_(link) {}
  void Start() RAYLET_EXCLUDES(mutex_);  // listens from now on
  // The last report, while the link can still be used. Joins the thread.
  void Stop() RAYLET_EXCLUDES(mutex_);

 private:
  void Wake() RAYLET_EXCLUDES(mutex_);
  void Run() RAYLET_EXCLUDES(mutex_);
  void Report();

  RayletLink& link_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::thread thread_ RAYLET_GUARDED_BY(mutex_);
  bool news_ RAYLET_GUARDED_BY(mutex_) = false;
  bool stops_ RAYLET_GUARDED_BY(mutex_) = false;
};

}  // namespace raylet::client
