// TaskKind: the tasks of this process that ask for the same resources at the same depth, and the workers that the
// process leases for them. It chooses a worker for each task, or lets the task wait. It decides when to ask for
// another worker. A core: pure, with the time as an argument. Owned by LeasedTasks; under its lock.
// Always holds: a task waits here only while there is a lease or an answer to come. A worker has no more calls than it
// ended in two ticks, or than twice what it ended in this one, and always may have one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "client/ray/cluster/task_submission.h"

namespace raylet::client {

constexpr Duration kPaceTick = std::chrono::milliseconds(5);

// Pace: how many tasks ended in the last two whole ticks, and since.
class Pace {
 public:
  void Ended(size_t count) { now_ += count; }
  void Tick() {
    before_ = last_;
    last_ = now_;
    now_ = 0;
  }
  bool Steady() const { return before_ > 0 && last_ > 0; }
  size_t Window() const { return std::max(2 * std::min(before_, last_), 2 * now_); }

 private:
  size_t before_ = 0, last_ = 0, now_ = 0;
};

class TaskKind {
 public:
  static constexpr size_t kUnderWayMax = 16384;  // at one worker
  static constexpr size_t kWorkersMax = 256;
  // A worker that ends fewer tasks in two ticks runs tasks that are worth another worker at once.
  static constexpr size_t kShortTasks = 32;

  struct Worker {
    uint64_t lease = 0;
    size_t under_way = 0;
    bool full = false;  // its ring had no room; until it ends a task
    Pace pace;
    size_t Room() const {
      const size_t window = std::min(kUnderWayMax, std::max<size_t>(1, pace.Window()));
      return full || under_way >= window ? 0 : window - under_way;
    }
  };

  // ---- tasks
  // Whether a new task comes here. Otherwise it goes by the raylet.
  bool Keeps() const { return asking_ || !workers_.empty(); }
  void Add(TaskSubmissionPtr task) { queue_.push_back(std::move(task)); }
  bool Waits() const { return !queue_.empty(); }
  size_t waiting() const { return queue_.size(); }
  // The worker for the next task: of those with room the one with the fewest. Null: none.
  Worker* Pick();
  TaskSubmissionPtr TakeNext();
  void PutBack(TaskSubmissionPtr task) { queue_.push_front(std::move(task)); }  // TakeNext again
  // All tasks that wait, for the raylet. Call it once the kind no longer Keeps tasks.
  std::deque<TaskSubmissionPtr> TakeAll() { return std::exchange(queue_, {}); }

  // ---- events
  void EndedByRaylet(TimePoint now);  // a task that went by the raylet
  void Ended(uint64_t lease, size_t count, TimePoint now);
  // Whether to ask for a worker now. If so, Granted or Refused follows.
  bool WantsAnother(TimePoint now);
  void Granted(uint64_t lease);
  void Refused(TimePoint now);
  // The lease is over. `back`: the worker has not begun them, and they go first.
  void Over(uint64_t lease, std::vector<TaskSubmissionPtr> back, TimePoint now);
  void TickTo(TimePoint now);

  const std::deque<Worker>& workers() const { return workers_; }
  bool asking() const { return asking_; }

 private:
  bool WorthAnother() const;

  std::deque<TaskSubmissionPtr> queue_;
  std::deque<Worker> workers_;  // a worker's address stays while others come
  bool asking_ = false;
  TimePoint ask_after_{};
  int refusals_pause_ = 0;  // in ticks, after the refusals since the last grant
  TimePoint tick_{};        // when the current tick began
  Pace by_raylet_;
  bool waited_ = false;  // tasks waited at the last tick
  bool waited_before_ = false;
};

}  // namespace raylet::client
