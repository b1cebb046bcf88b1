// TaskRoom: whether this process may submit another task. It has a bound of its own on the tasks under way, and the
// raylet has one for all processes of a program. Tasks that the raylet sends back for want of room wait here until
// there is some. Owned by ClusterParts; any thread. It waits for nothing itself. Always holds: once it is full, there
// is no room before a sixteenth of the bound has ended. So a waiting thread goes on with many tasks at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "fbs/ids.h"
#include "fbs/messages.h"

namespace raylet::client {

class TaskRoom {
 public:
  struct Bounds {
    size_t tasks_max = 500'000;
    size_t bytes_max = size_t{512} << 20;  // of their inline arguments; one task may pass it
  };
  explicit TaskRoom(const Bounds& bounds) : bounds_(bounds) {}

  // The room of one task, from its submission to its end.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : room_(std::exchange(other.room_, nullptr)), bytes_(other.bytes_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(room_, other.room_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Place() {
      if (room_ != nullptr) room_->Give(bytes_);
    }

   private:
    friend class TaskRoom;
    Place(TaskRoom& room, size_t bytes) : room_(&room), bytes_(bytes) {}
    TaskRoom* room_ = nullptr;  // outlives this
    size_t bytes_ = 0;
  };

  // Nothing where there is no room.
  std::optional<Place> TryTake(size_t bytes) RAYLET_EXCLUDES(mutex_);

  // ---- what the raylet says
  struct Returned {
    TaskId id;
    std::string name;
    Bytes spec;
  };
  void Return(Returned task) RAYLET_EXCLUDES(mutex_);            // there is no room until TakeReturned
  std::vector<Returned> TakeReturned() RAYLET_EXCLUDES(mutex_);  // to be sent again

  size_t tasks() const RAYLET_EXCLUDES(mutex_);

 private:
  void Give(size_t bytes) RAYLET_EXCLUDES(mutex_);

  const Bounds bounds_;
  mutable Mutex mutex_;
  size_t tasks_ RAYLET_GUARDED_BY(mutex_) = 0;
  size_t bytes_ RAYLET_GUARDED_BY(mutex_) = 0;
  bool full_ RAYLET_GUARDED_BY(mutex_) = false;
  std::vector<Returned> returned_ RAYLET_GUARDED_BY(mutex_);  // of tasks that have their places
};

}  // namespace raylet::client
