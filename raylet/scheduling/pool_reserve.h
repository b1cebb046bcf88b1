// PoolReserve: whether a task may take a worker. It prevents a pool whose workers all wait for tasks that get no
// worker. Pure. Always holds: while a worker is blocked, tasks of one depth leave a part of the pool to deeper ones. So
// chains of kDepthSafe tasks that wait for each other go on, however many chains there are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace raylet {

class PoolReserve {
 public:
  static constexpr size_t kDepthSafe = 6;

  // The numbers of workers when a pass begins. `room`: those that host no actor, and those that may still be started
  // for tasks.
  PoolReserve(size_t room, size_t busy, size_t blocked) : room_(room), busy_(busy), blocked_(blocked) {}

  // Whether a task of this depth may begin once `more` others have begun. Tasks begin freely while nobody is blocked.
  bool MayBegin(uint32_t depth, size_t more = 0) const { return blocked_ == 0 || busy_ + more + LeftTo(depth) < room_; }
  void Began() { ++busy_; }
  size_t blocked() const { return blocked_; }

  // Workers that tasks of this depth leave to deeper ones: an eighth of the pool, and half as many with each step.
  size_t LeftTo(uint32_t depth) const {
    const size_t share = depth < 32 ? (room_ / 8) >> depth : 0;
    const size_t steps = depth + 1 < kDepthSafe ? kDepthSafe - 1 - depth : 0;  // one for each depth below
    const size_t most = room_ > depth + 1 ? room_ - depth - 1 : 0;             // a small pool has a worker for each
    return std::min(std::max(share, steps), most);
  }

 private:
  size_t room_;
  size_t busy_;     // with tasks, blocked ones included
  size_t blocked_;  // of them
};

}  // namespace raylet
